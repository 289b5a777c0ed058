//! HTTP over hyper for `unifiedai`.
