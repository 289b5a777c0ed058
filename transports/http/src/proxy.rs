//! Which proxy a request goes through, by the rules of curl.

/// The proxies that requests go through.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Proxies {}
