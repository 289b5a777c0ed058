//! Requests for a response that the server keeps: read it, read the rest of its stream, end it, remove it.
//!
//! `GET /responses/{id}` gives the response as it is. With `stream=true` it gives the events from the first one, or after the
//! number in `starting_after`. A stream can be read only if the response was created with `stream`, and only within five minutes;
//! later it is refused with status 400, and the response itself can still be read.

use super::OpenAiResponses;
use crate::{
    Error, ErrorKind,
    chat::{Continuation, Cursor},
    codec::percent::encode_segment,
    provider::{EncodedRequest, Framing, Provider, kit::core::JSON},
};
use bytes::Bytes;
use http::{Method, Request};

pub(super) fn resume(
    provider: &OpenAiResponses,
    continuation: &Continuation,
    stream: bool,
) -> Result<EncodedRequest, Error> {
    let path = path(provider, continuation)?;
    let (query, framing) = match (stream, &continuation.cursor) {
        (false, _) => (String::new(), Framing::SingleBody),
        (true, None) => ("?stream=true".to_owned(), Framing::Sse),
        (true, Some(Cursor::Number(last))) => {
            (format!("?stream=true&starting_after={last}"), Framing::Sse)
        }
        (true, Some(Cursor::Token(token))) => {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!(
                    "`cursor` of the continuation is `{}`: `{}` needs the number of an event",
                    token.escape_debug(),
                    provider.name()
                ),
            ));
        }
    };
    let core = &provider.core;
    let uri = core.url(&[&*path, &query].concat())?;
    let request = core.request(Method::GET, uri, Bytes::new(), framing.media_type());
    Ok(EncodedRequest::new(request, framing))
}

pub(super) fn cancel(
    provider: &OpenAiResponses,
    continuation: &Continuation,
) -> Result<EncodedRequest, Error> {
    let path = path(provider, continuation)?;
    let uri = provider.core.url(&[&*path, "/cancel"].concat())?;
    let framing = Framing::SingleBody;
    Ok(EncodedRequest::new(
        provider.core.post(uri, Bytes::new(), framing),
        framing,
    ))
}

pub(super) fn delete(
    provider: &OpenAiResponses,
    continuation: &Continuation,
) -> Result<Request<Bytes>, Error> {
    let uri = provider.core.url(&path(provider, continuation)?)?;
    Ok(provider
        .core
        .request(Method::DELETE, uri, Bytes::new(), JSON))
}

fn path(provider: &OpenAiResponses, continuation: &Continuation) -> Result<String, Error> {
    let refuse = |what| Err(Error::new(ErrorKind::InvalidRequest, what));
    if !provider.profile.background {
        return refuse(format!(
            "`{}` generates no responses in the background: send the request again",
            provider.name()
        ));
    }
    match encode_segment(&continuation.response_id) {
        Some(id) => Ok(["/responses/", &id].concat()),
        None => refuse(format!(
            "`response_id` of the continuation is `{}`: it is not the id of a response",
            continuation.response_id.escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::openai_responses::ResponsesProfile;

    fn position(id: &str, cursor: Option<Cursor>) -> Continuation {
        Continuation {
            cursor,
            ..Continuation::new("openai-responses", "m", id)
        }
    }

    #[test]
    fn requests_name_the_response_and_the_position() {
        let openai = OpenAiResponses::new("key").unwrap();
        let base = "https://api.openai.com/v1/responses/resp_1";
        for (stream, cursor, query) in [
            (false, Some(Cursor::Number(7)), ""),
            (true, None, "?stream=true"),
            (
                true,
                Some(Cursor::Number(0)),
                "?stream=true&starting_after=0",
            ),
            (
                true,
                Some(Cursor::Number(16)),
                "?stream=true&starting_after=16",
            ),
        ] {
            let encoded = openai
                .encode_resume(&position("resp_1", cursor), stream)
                .unwrap();
            assert_eq!(encoded.request.method(), Method::GET);
            assert_eq!(encoded.request.uri().to_string(), [base, query].concat());
            assert!(encoded.request.headers().get("content-type").is_none());
        }
        let cancel = openai.encode_cancel(&position("resp_1", None)).unwrap();
        assert_eq!(cancel.request.method(), Method::POST);
        assert_eq!(cancel.request.uri().to_string(), [base, "/cancel"].concat());
        assert!(cancel.request.body().is_empty());
        let delete = openai.encode_delete(&position("resp_1", None)).unwrap();
        assert_eq!(delete.method(), Method::DELETE);
        assert_eq!(delete.uri().to_string(), base);
    }

    #[test]
    fn an_id_cannot_change_the_path_and_a_foreign_position_is_refused() {
        let openai = OpenAiResponses::new("key").unwrap();
        let id = position("../models?x=/y", None);
        let request = openai.encode_resume(&id, false).unwrap().request;
        assert_eq!(request.uri().path(), "/v1/responses/..%2Fmodels%3Fx%3D%2Fy");
        for (id, cursor) in [("", None), ("r", Some(Cursor::Token("evt".into())))] {
            let error = openai
                .encode_resume(&position(id, cursor), true)
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        }
        let openrouter = OpenAiResponses::builder()
            .profile(ResponsesProfile::OPENROUTER)
            .api_key("key")
            .unwrap()
            .build()
            .unwrap();
        let error = openrouter.encode_cancel(&position("r", None)).unwrap_err();
        assert!(error.message().contains("in the background"), "{error}");
    }
}
