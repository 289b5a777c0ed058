use crate::{CallOptions, ChatRequest, Error, Json};
use serde::Serialize;
use std::{fmt, time::Duration};

/// The options of one call that differ from the client's.
#[derive(Clone, Default)]
pub(super) struct PerCall {
    timeout: Option<Duration>,
    max_retries: Option<u32>,
    headers: Vec<(String, String)>,
    body: Vec<(String, Json)>,
    keep_headers: bool,
}

impl PerCall {
    pub(super) fn timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    pub(super) fn max_retries(&mut self, retries: u32) {
        self.max_retries = Some(retries);
    }

    pub(super) fn keep_headers(&mut self) {
        self.keep_headers = true;
    }

    pub(super) fn header(&mut self, name: String, value: String) {
        self.headers.push((name, value));
    }

    pub(super) fn body<T: Serialize + ?Sized>(
        &mut self,
        name: String,
        value: &T,
    ) -> Result<(), Error> {
        self.body.push((name, Json::new(value)?));
        Ok(())
    }

    /// The client's options, with those of this call applied.
    pub(super) fn options(&self, options: &CallOptions) -> CallOptions {
        let mut options = options.clone();
        if self.timeout.is_some() {
            options.timeouts.total = self.timeout;
        }
        if let Some(retries) = self.max_retries {
            options.retry.max_retries = retries;
        }
        options.keep_headers |= self.keep_headers;
        options
    }

    pub(super) fn request(&self, mut request: ChatRequest) -> Result<ChatRequest, Error> {
        request.headers.extend(self.headers.iter().cloned());
        for (name, value) in &self.body {
            request = request.extra(name, value)?;
        }
        Ok(request)
    }
}

impl fmt::Debug for PerCall {
    /// Shows only the names of headers, because a value may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("PerCall")
            .field("timeout", &self.timeout)
            .field("max_retries", &self.max_retries)
            .field("headers", &headers)
            .field("body", &self.body)
            .field("keep_headers", &self.keep_headers)
            .finish()
    }
}
