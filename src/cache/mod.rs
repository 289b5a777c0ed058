//! Prompt caches: cached contents as resources (Gemini).

mod content;

pub use content::{
    CacheExpiry, CachedContent, CachedContentApi, CachedContentPage, NewCachedContent,
};
