//! HTTP over ureq for `unifiedai`.
