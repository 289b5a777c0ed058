//! Options that every transport has.
