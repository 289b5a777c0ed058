//! Prompt caches: what a request marks, cached contents as resources (Gemini), and why a cache was missed.
//!
//! The page `docs/caching.md` of the repository has an overview.

mod blocks;
mod cause;
mod content;
mod explain;
mod plan;
mod prefix;
mod rules;

pub use cause::CacheMissCause;
pub use content::{
    CacheExpiry, CachedContent, CachedContentApi, CachedContentPage, NewCachedContent,
};
#[doc(hidden)]
pub use explain::check_cache_stable;
pub use explain::{CacheMiss, CacheVerdict, explain_cache};
pub(crate) use plan::CacheMarks;
pub use plan::{CacheLife, CachePlan};
pub use rules::{CacheRules, CacheTier};
