//! HTTP over smol for `unifiedai`.
