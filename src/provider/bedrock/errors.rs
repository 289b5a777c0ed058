//! Decodes Bedrock's errors: by the exception's name, in any format.

use crate::{
    Error, ErrorKind,
    error::ErrorBody,
    provider::{
        Frame,
        kit::{
            errors,
            lenient::{self, Count, Raw, Text, object},
        },
    },
};
use bytes::Bytes;
use http::response;

/// Beginnings of messages for a context overflow, which has the exception of any invalid request.
const CONTEXT_OVERFLOW: [&str; 4] = [
    "Input is too long",
    "Input Tokens Exceeded",
    "input is too long",
    "prompt is too long",
];

/// Bedrock's prefix of a model's own message.
const MODEL_ERROR: &str = "The model returned the following errors: ";

/// Exceptions of kinds that are usually temporary, but which the service marks as not retryable.
const FINAL: [&str; 3] = [
    "ConflictException",
    "ModelErrorException",
    "ModelTimeoutException",
];

/// Exceptions that the service marks as retryable.
const PASSING: [&str; 2] = ["ModelNotReadyException", "ModelStreamErrorException"];

/// The error of an HTTP status of 300 or above.
pub(super) fn from_http(head: &response::Parts, body: &Bytes) -> Error {
    let plain = errors::from_http(head, body);
    if head.status.is_redirection() {
        return plain;
    }
    let mut parsed = parse(body).unwrap_or_default();
    parsed.code = named_in_header(head).or_else(|| named_in_body(&parsed));
    parsed.error_type = None;
    parsed
        .message
        .get_or_insert_with(|| plain.message().to_owned());
    let status = head.status.as_u16();
    let error = refine(errors::from_body(status, &parsed), &parsed);
    match (parsed.code, status) {
        // The status of the model's own failures, which no other service has.
        (None, 424) => error
            .with_kind(ErrorKind::InternalServer)
            .with_retryable(false),
        _ => error,
    }
}

/// The error of an exception frame or an error frame, which may be the first frame of a stream.
pub(super) fn from_frame(frame: Frame<'_>) -> Error {
    let mut parsed = ErrorBody::parse(frame.data.as_bytes()).unwrap_or_default();
    let code = match frame.name {
        "" => named_in_body(&parsed),
        name => Some(exception_name(name)),
    };
    parsed.code.clone_from(&code);
    parsed.error_type = None;
    if parsed.message.is_none() && !frame.data.is_empty() {
        // An error frame has no payload; its message is in a header.
        parsed.message = Some(crate::error::excerpt(frame.data.as_bytes()));
    }
    add_original(&mut parsed, frame.data);
    let error = errors::from_body(200, &parsed);
    let error = match error.kind() {
        // An unknown name: the request was accepted, so the service failed; whether a retry helps is unknown.
        ErrorKind::Protocol => error
            .with_kind(ErrorKind::InternalServer)
            .with_retryable(false),
        _ => error,
    };
    refine(error, &parsed).with_body(errors::beginning(frame.data.as_bytes()))
}

/// The error in a body with status 200, if there is one.
pub(super) fn from_response(body: &Bytes) -> Option<Error> {
    let mut parsed = parse(body)?;
    parsed.code = named_in_body(&parsed);
    parsed.error_type = None;
    let error = errors::from_body(200, &parsed);
    Some(refine(error, &parsed))
}

fn parse(body: &[u8]) -> Option<ErrorBody> {
    object! {
        /// The format of the front end of AWS services.
        struct Wrapped<'a> {
            output as "Output": Raw<'a>,
        }
    }
    ErrorBody::parse(body)
        .or_else(|| from_xml(body))
        .or_else(|| {
            let wrapped: Wrapped<'_> = lenient::parse_body(body).ok()?;
            ErrorBody::parse(wrapped.output.text()?.as_bytes())
        })
}

/// Distinguishes errors that share a name.
fn refine(error: Error, body: &ErrorBody) -> Error {
    let code = body.code.as_deref().unwrap_or_default();
    let message = body.message.as_deref().unwrap_or_default();
    let said = message.strip_prefix(MODEL_ERROR).unwrap_or(message);
    if error.kind() == ErrorKind::BadRequest
        && CONTEXT_OVERFLOW
            .iter()
            .any(|sentence| said.starts_with(sentence))
    {
        return error.with_kind(ErrorKind::ContextOverflow);
    }
    if FINAL.contains(&code) {
        return error.with_retryable(false);
    }
    if PASSING.contains(&code) {
        return error.with_retryable(true);
    }
    error
}

/// `ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/`
fn named_in_header(head: &response::Parts) -> Option<String> {
    let name = head.headers.get("x-amzn-errortype")?.to_str().ok()?;
    Some(exception_name(name)).filter(|name| !name.is_empty())
}

fn named_in_body(body: &ErrorBody) -> Option<String> {
    [&body.code, &body.error_type]
        .into_iter()
        .flatten()
        .map(|name| exception_name(name))
        .find(|name| name.bytes().any(|byte| byte.is_ascii_alphabetic()))
}

/// The bare name, capitalised as in HTTP: frames begin it with a lower-case letter.
fn exception_name(name: &str) -> String {
    let name = name.split(':').next().unwrap_or(name);
    let name = name.rsplit('#').next().unwrap_or(name).trim();
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + letters.as_str(),
        None => String::new(),
    }
}

/// Adds the message of the model's own server, if Bedrock passes it on.
fn add_original(body: &mut ErrorBody, data: &str) {
    object! {
        struct Original<'a> {
            original_status_code as "originalStatusCode": Count,
            original_message as "originalMessage": Text<'a>,
        }
    }
    let Ok(original) = lenient::parse::<Original<'_>>(data) else {
        return;
    };
    let message = body.message.take().unwrap_or_default();
    let mut parts = vec![message];
    parts.extend(
        original
            .original_message
            .non_empty()
            .filter(|more| *more != parts.concat())
            .map(str::to_owned),
    );
    let mut message = parts.join(": ");
    if let Some(status) = original.original_status_code.0 {
        message.push_str(&format!(" (status {status} from the model)"));
    }
    body.message = Some(message).filter(|message| !message.is_empty());
}

/// `<Error><Code>..</Code><Message>..</Message></Error>`, or an element named after the exception.
fn from_xml(body: &[u8]) -> Option<ErrorBody> {
    let text = std::str::from_utf8(body).ok()?.trim_start();
    let text = match text.strip_prefix("<?xml") {
        Some(declared) => declared.split_once("?>")?.1.trim_start(),
        None => text,
    };
    let root: String = text
        .strip_prefix('<')?
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric())
        .collect();
    let mut parsed = ErrorBody {
        message: element(text, "Message").or_else(|| element(text, "message")),
        code: element(text, "Code").or_else(|| root.ends_with("Exception").then_some(root)),
        ..ErrorBody::default()
    };
    parsed.request_id = element(text, "RequestId").or_else(|| element(text, "RequestID"));
    (parsed.message.is_some() || parsed.code.is_some()).then_some(parsed)
}

fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&["<", name, ">"].concat())?;
    let (content, _) = rest.split_once(&["</", name, ">"].concat())?;
    let content = content
        .trim()
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&");
    Some(content).filter(|content| !content.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorKind::*;

    fn http(status: u16, error_type: Option<&str>, body: &str) -> Error {
        let mut response = http::Response::builder().status(status);
        if let Some(error_type) = error_type {
            response = response.header("x-amzn-ErrorType", error_type);
        }
        let (head, ()) = response.body(()).unwrap().into_parts();
        from_http(&head, &Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn every_exception_has_its_kind_and_retryability() {
        let cases = [
            ("ValidationException", 400, BadRequest, false),
            ("ServiceQuotaExceededException", 400, QuotaExceeded, false),
            ("ConflictException", 400, Conflict, false),
            ("AccessDeniedException", 403, PermissionDenied, false),
            ("ExpiredTokenException", 403, Authentication, false),
            ("UnrecognizedClientException", 403, Authentication, false),
            ("InvalidSignatureException", 403, Authentication, false),
            ("IncompleteSignatureException", 403, Authentication, false),
            (
                "MissingAuthenticationTokenException",
                403,
                Authentication,
                false,
            ),
            ("ResourceNotFoundException", 404, NotFound, false),
            ("ModelTimeoutException", 408, Timeout, false),
            ("ModelErrorException", 424, InternalServer, false),
            ("ModelStreamErrorException", 424, InternalServer, true),
            ("ThrottlingException", 429, RateLimit, true),
            ("ModelNotReadyException", 429, Overloaded, true),
            ("InternalServerException", 500, InternalServer, true),
            ("ServiceUnavailableException", 503, ServiceUnavailable, true),
        ];
        for (name, status, kind, retryable) in cases {
            let header = format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/");
            let mut in_frame = name.to_owned();
            in_frame.get_mut(..1).unwrap().make_ascii_lowercase();
            let errors = [
                http(status, Some(&header), r#"{"message":"m"}"#),
                http(
                    status,
                    None,
                    &format!(r#"{{"__type":"com.amazon#{name}","Message":"m"}}"#),
                ),
                http(
                    status,
                    None,
                    &format!(r#"{{"code":"{name}","message":"m"}}"#),
                ),
                http(
                    status,
                    None,
                    &format!("<E><Error><Code>{name}</Code><Message>m</Message></Error></E>"),
                ),
                from_frame(Frame::exception(&in_frame, r#"{"message":"m"}"#)),
                from_frame(Frame::exception(name, "m")),
            ];
            for error in errors {
                assert_eq!(error.kind(), kind, "{name} {error:?}");
                assert_eq!(error.is_retryable(), retryable, "{name} {error:?}");
                assert_eq!(error.code(), Some(name));
                assert_eq!(error.message(), "m");
            }
        }
    }

    #[test]
    fn an_error_keeps_only_the_beginning_of_a_large_event() {
        let data = "x".repeat(100 << 10);
        let error = from_frame(Frame::exception("InternalServerException", &data));
        assert_eq!(error.body().len(), 64 << 10);
    }

    #[test]
    fn messages_refine_the_exception_type() {
        let long = [
            "Input is too long for requested model.",
            "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
            "The model returned the following errors: Input is too long for requested model.",
            "The model returned the following errors: prompt is too long: 200082 tokens > 200000 maximum",
        ];
        for message in long {
            let body = serde_json::json!({ "message": message }).to_string();
            let error = http(400, Some("ValidationException"), &body);
            assert_eq!(error.kind(), ContextOverflow, "{message}");
            let error = from_frame(Frame::exception("validationException", &body));
            assert_eq!(error.kind(), ContextOverflow, "{message}");
        }
        let quoted = r#"{"message":"The tool said: Input is too long"}"#;
        assert_eq!(
            http(400, Some("ValidationException"), quoted).kind(),
            BadRequest
        );
        let daily = r#"{"message":"Too many tokens per day, please wait before trying again."}"#;
        let error = http(429, Some("ThrottlingException"), daily);
        assert_eq!((error.kind(), error.is_retryable()), (QuotaExceeded, false));
    }

    #[test]
    fn bodies_of_front_ends_are_read() {
        let html = http(503, None, "<html><body>Service Unavailable</body></html>");
        assert_eq!(html.kind(), ServiceUnavailable);
        assert!(html.message().contains("<html>"), "{html}");
        let empty = http(429, Some("ThrottlingException:http://x/"), "");
        assert_eq!(
            (empty.kind(), empty.code()),
            (RateLimit, Some("ThrottlingException"))
        );
        let xml = http(
            403,
            None,
            "<?xml version=\"1.0\"?>\n<AccessDeniedException><Message>a &lt;b&gt; &amp;lt;</Message></AccessDeniedException>",
        );
        assert_eq!(
            (xml.kind(), xml.message()),
            (PermissionDenied, "a <b> &lt;")
        );
        let id = http(
            400,
            None,
            "<ErrorResponse><Error><Code>X</Code></Error><RequestId>r-1</RequestId></ErrorResponse>",
        );
        assert_eq!((id.request_id(), id.code()), (Some("r-1"), Some("X")));
        let wrapped =
            r#"{"Output":{"__type":"com.amazon.coral.service#InternalFailure"},"Version":"1.0"}"#;
        let error = from_response(&Bytes::from_static(wrapped.as_bytes())).unwrap();
        assert_eq!(
            (error.kind(), error.code()),
            (InternalServer, Some("InternalFailure"))
        );
        let model = http(424, None, r#"{"message":"m"}"#);
        assert_eq!(
            (model.kind(), model.is_retryable()),
            (InternalServer, false)
        );
        assert_eq!(http(302, None, "").kind(), Redirect);
    }

    #[test]
    fn a_frame_with_an_unknown_name_is_final() {
        let error = from_frame(Frame::exception("brandNewException", r#"{"message":"m"}"#));
        assert_eq!(
            (error.kind(), error.is_retryable()),
            (InternalServer, false)
        );
        assert_eq!(error.code(), Some("BrandNewException"));
    }

    #[test]
    fn model_server_message_is_kept() {
        let data = r#"{"message":"stream failed","originalMessage":"overloaded","originalStatusCode":529}"#;
        let error = from_frame(Frame::exception("modelStreamErrorException", data));
        assert_eq!(
            error.message(),
            "stream failed: overloaded (status 529 from the model)"
        );
        assert_eq!(error.body(), data.as_bytes());
    }
}
