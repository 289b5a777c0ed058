//! Requests for stored interactions: fetch, follow, cancel, delete.

use super::GeminiInteractions;
use crate::{
    Error, ErrorKind,
    codec::percent::encode_segment,
    provider::{EncodedRequest, Framing, Provider},
};
use bytes::Bytes;
use http::{Method, Request};

impl GeminiInteractions {
    /// Encodes a GET of a stored interaction. Its response is an interaction, which the decoder of a chat decodes.
    /// With `background` in the chat's [`extra`](crate::ChatRequest::extra) an unfinished one is a response too: its
    /// finish reason is `in_progress` or `queued`.
    ///
    /// # Errors
    /// `invalid_request` if the id is empty.
    pub fn encode_stored(&self, id: &str) -> Result<Request<Bytes>, Error> {
        self.core.get(&self.stored_path(id, "")?)
    }

    /// Encodes a GET of the events of a stored interaction. `after` is the `event_id` of the last event that was
    /// received: the stream continues with the next one. Without it the stream repeats all events.
    ///
    /// # Errors
    /// `invalid_request` if the id is empty.
    pub fn encode_stored_events(
        &self,
        id: &str,
        after: Option<&str>,
    ) -> Result<EncodedRequest, Error> {
        let after = after.and_then(encode_segment);
        let query = match after {
            Some(event) => ["?stream=true&last_event_id=", &event].concat(),
            None => "?stream=true".to_owned(),
        };
        let uri = self.core.url(&self.stored_path(id, &query)?)?;
        let accept = Framing::Sse.media_type();
        let request = self.core.request(Method::GET, uri, Bytes::new(), accept);
        Ok(EncodedRequest::new(request, Framing::Sse))
    }

    /// Encodes the cancellation of an interaction that runs in the background. Its response is the interaction.
    ///
    /// # Errors
    /// `invalid_request` if the id is empty.
    pub fn encode_cancel(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let uri = self.core.url(&self.stored_path(id, "/cancel")?)?;
        Ok(self.core.post(uri, "{}", Framing::SingleBody))
    }

    /// Encodes the deletion of a stored interaction. The body of its response has no meaning. It does not cancel an
    /// interaction that runs.
    ///
    /// # Errors
    /// `invalid_request` if the id is empty.
    pub fn encode_delete(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let uri = self.core.url(&self.stored_path(id, "")?)?;
        let accept = Framing::Raw.media_type();
        Ok(self.core.request(Method::DELETE, uri, Bytes::new(), accept))
    }

    fn stored_path(&self, id: &str, more: &str) -> Result<String, Error> {
        let Some(id) = encode_segment(id) else {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "the id of an interaction of `{}` is empty: with `store(false)` the server gives none",
                    self.name()
                ),
            ));
        };
        Ok([&*self.path, "/", &id, more].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_name_the_interaction_and_the_last_event() {
        let provider = GeminiInteractions::new("k").unwrap();
        let base = "https://generativelanguage.googleapis.com/v1beta/interactions/v1_a%2Fb";
        let get = provider.encode_stored("v1_a/b").unwrap();
        assert_eq!(
            (get.method(), get.uri().to_string()),
            (&Method::GET, base.to_owned())
        );
        let events = provider
            .encode_stored_events("v1_a/b", Some("e=1&"))
            .unwrap();
        assert_eq!(
            events.request.uri().to_string(),
            [base, "?stream=true&last_event_id=e%3D1%26"].concat()
        );
        assert_eq!(events.request.headers()["accept"], "text/event-stream");
        let replay = provider.encode_stored_events("v1_a/b", None).unwrap();
        assert_eq!(replay.request.uri().query(), Some("stream=true"));
        let cancel = provider.encode_cancel("v1_a/b").unwrap();
        assert_eq!(
            (cancel.method(), cancel.uri().to_string()),
            (&Method::POST, [base, "/cancel"].concat())
        );
        let delete = provider.encode_delete("v1_a/b").unwrap();
        assert_eq!(
            (delete.method(), delete.uri().to_string()),
            (&Method::DELETE, base.to_owned())
        );
        let error = provider.encode_stored("").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
}
