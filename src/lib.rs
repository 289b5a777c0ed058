//! unifiedai
