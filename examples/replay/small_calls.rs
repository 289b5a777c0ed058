//! Recorded token counts, cached contents and compactions.

use super::{common::bad_usage, recording::Feed};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use unifiedai::{
    CallOptions, ChatRequest, Error,
    cache::{CacheExpiry, CachedContent, CachedContentApi, NewCachedContent},
    provider::{ApiRequest, Provider},
    sans_io::{CallStart, Exchange},
};

/// What came out.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Tokens {
        tokens: u64,
        exact: bool,
    },
    Cache {
        name: String,
        expire_time: Option<String>,
    },
    Caches {
        names: Vec<String>,
    },
    Compacted {
        items: usize,
    },
    Nothing {},
}

pub(crate) fn is_known(operation: &str) -> bool {
    operation == "count-tokens"
        || operation == "compact"
        || operation.starts_with("cached-contents-")
}

/// A response, and what the core needs to read it.
pub(crate) struct Source {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) request: ChatRequest,
    pub(crate) feed: Feed,
    pub(crate) options: Arc<CallOptions>,
    pub(crate) start: CallStart,
}

impl Source {
    pub(crate) fn replay(self, operation: &str) -> Result<Answer, Error> {
        // The name in the recorded address does not matter to the answer.
        let name = "cachedContents/recorded";
        match operation {
            "count-tokens" => {
                let count = self.make(|provider, request| provider.count_tokens(request))?;
                Ok(Answer::Tokens {
                    tokens: count.tokens,
                    exact: count.exact,
                })
            }
            "compact" => {
                let compacted = self.make(|provider, request| provider.compact(request))?;
                Ok(Answer::Compacted {
                    items: compacted.messages.len(),
                })
            }
            "cached-contents-create" => self.cache(|contents, request| {
                contents.create(&NewCachedContent::new(request.clone()))
            }),
            "cached-contents-get" => self.cache(|contents, _| contents.get(name)),
            "cached-contents-patch" => self.cache(|contents, _| {
                contents.renew(name, &CacheExpiry::Ttl(Duration::from_secs(300)))
            }),
            "cached-contents-list" => {
                let list = self.make(|provider, _| caches(provider)?.list(None))?;
                Ok(Answer::Caches {
                    names: list
                        .contents
                        .into_iter()
                        .map(|content| content.name)
                        .collect(),
                })
            }
            "cached-contents-delete" => {
                self.make(|provider, _| caches(provider)?.delete(name))?;
                Ok(Answer::Nothing {})
            }
            other => Err(bad_usage(format!("`{other}` is not a recorded operation"))),
        }
    }

    fn cache(
        self,
        describe: impl FnOnce(
            &dyn CachedContentApi,
            &ChatRequest,
        ) -> Result<ApiRequest<CachedContent>, Error>,
    ) -> Result<Answer, Error> {
        let content = self.make(|provider, request| describe(&*caches(provider)?, request))?;
        Ok(Answer::Cache {
            name: content.name,
            expire_time: content.expire_time,
        })
    }

    fn make<T: Default>(
        self,
        describe: impl FnOnce(&dyn Provider, &ChatRequest) -> Result<ApiRequest<T>, Error>,
    ) -> Result<T, Error> {
        let api = describe(&*self.provider, &self.request)?;
        let exchange = Exchange::api_call(self.provider, api, self.options, self.start);
        Ok(self.feed.through(exchange, false, |_| {})?.answer)
    }
}

fn caches(provider: &dyn Provider) -> Result<Box<dyn CachedContentApi + '_>, Error> {
    provider
        .cached_contents()
        .ok_or_else(|| bad_usage("this provider has no cached contents"))
}
