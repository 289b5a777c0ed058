//! Cases that are known to come out wrong. The test fails for a name here whose case comes out right.

#[rustfmt::skip]
pub const CASES: &[&str] = &[
];
