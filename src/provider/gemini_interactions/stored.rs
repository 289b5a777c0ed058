//! Requests for interactions that the server keeps: read one, read the rest of its events, end it, remove it.
//!
//! `GET /interactions/{id}` gives the interaction as it is. With `stream=true` it gives the events from the first one, or after
//! the one whose id is in `last_event_id`.

use super::GeminiInteractions;
use crate::{
    Error, ErrorKind,
    chat::{Continuation, Cursor},
    codec::percent::encode_segment,
    provider::{EncodedRequest, Framing, Provider},
};
use bytes::Bytes;
use http::{Method, Request};

pub(super) fn resume(
    provider: &GeminiInteractions,
    continuation: &Continuation,
    stream: bool,
) -> Result<EncodedRequest, Error> {
    let (query, framing) = match (stream, &continuation.cursor) {
        (false, _) => (String::new(), Framing::SingleBody),
        (true, None) => ("?stream=true".to_owned(), Framing::Sse),
        (true, Some(Cursor::Token(event))) => {
            let event = encode_segment(event).unwrap_or_default();
            let query = ["?stream=true&last_event_id=", &event].concat();
            (query, Framing::Sse)
        }
        (true, Some(Cursor::Number(number))) => {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`cursor` of the continuation is {number}: `{}` needs the id of an event",
                    provider.name()
                ),
            ));
        }
    };
    let core = &provider.core;
    let uri = core.url(&path(provider, continuation, &query)?)?;
    let request = core.request(Method::GET, uri, Bytes::new(), framing.media_type());
    Ok(EncodedRequest::new(request, framing))
}

pub(super) fn cancel(
    provider: &GeminiInteractions,
    continuation: &Continuation,
) -> Result<EncodedRequest, Error> {
    let framing = Framing::SingleBody;
    let uri = provider
        .core
        .url(&path(provider, continuation, "/cancel")?)?;
    Ok(EncodedRequest::new(
        provider.core.post(uri, "{}", framing),
        framing,
    ))
}

/// The deletion does not end an interaction that runs.
pub(super) fn delete(
    provider: &GeminiInteractions,
    continuation: &Continuation,
) -> Result<Request<Bytes>, Error> {
    let uri = provider.core.url(&path(provider, continuation, "")?)?;
    let accept = Framing::Raw.media_type();
    Ok(provider
        .core
        .request(Method::DELETE, uri, Bytes::new(), accept))
}

fn path(
    provider: &GeminiInteractions,
    continuation: &Continuation,
    more: &str,
) -> Result<String, Error> {
    let Some(id) = encode_segment(&continuation.response_id) else {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            format!(
                "`response_id` of the continuation is empty: with `store(false)` `{}` gives none",
                provider.name()
            ),
        ));
    };
    Ok([&*provider.path, "/", &id, more].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_name_the_interaction_and_the_last_event() {
        let provider = GeminiInteractions::new("k").unwrap();
        let base = "https://generativelanguage.googleapis.com/v1beta/interactions/v1_a%2Fb";
        let position = |id: &str, cursor| Continuation {
            cursor,
            ..Continuation::new("gemini-interactions", "m", id)
        };
        let event = || Some(Cursor::Token("e=1&".to_owned()));
        for (stream, cursor, query, accept) in [
            (false, event(), "", "application/json"),
            (
                true,
                event(),
                "?stream=true&last_event_id=e%3D1%26",
                "text/event-stream",
            ),
            (true, None, "?stream=true", "text/event-stream"),
        ] {
            let encoded = provider
                .encode_resume(&position("v1_a/b", cursor), stream)
                .unwrap();
            let request = encoded.request;
            assert_eq!(request.method(), Method::GET);
            assert_eq!(request.uri().to_string(), [base, query].concat());
            assert_eq!(request.headers()["accept"], accept);
        }
        let cancel = provider.encode_cancel(&position("v1_a/b", None)).unwrap();
        let cancel = (
            cancel.request.method().clone(),
            cancel.request.uri().to_string(),
        );
        assert_eq!(cancel, (Method::POST, [base, "/cancel"].concat()));
        let delete = provider.encode_delete(&position("v1_a/b", None)).unwrap();
        let delete = (delete.method().clone(), delete.uri().to_string());
        assert_eq!(delete, (Method::DELETE, base.to_owned()));
        for wrong in [
            position("", None),
            position("v1_a", Some(Cursor::Number(1))),
        ] {
            let error = provider.encode_resume(&wrong, true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        }
    }
}
