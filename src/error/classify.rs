//! Maps status, code and type to a kind. The only place that decides this.

use super::{
    ErrorBody,
    limits::{self, Limit},
    phrases,
};
use crate::{
    Error, ErrorKind,
    codec::{ndjson::NdjsonError, sse::SseError},
};
use ErrorKind::*;

/// The kind of a failure: by the provider's code, then its type, then the status, and by the limit that its message
/// names.
///
/// Codes come first because statuses are ambiguous: an exhausted quota is 429 like a rate limit, a context overflow
/// is 400 like an invalid parameter, an error inside a stream is 200. Codes are ambiguous too: a daily quota has the
/// code of a rate limit.
pub(crate) fn classify(outer: u16, body: &ErrorBody) -> ErrorKind {
    let status = body.status.unwrap_or(outer);
    let kind = [&body.code, &body.error_type]
        .into_iter()
        .flatten()
        .find_map(|word| by_error_code(word, status))
        .unwrap_or_else(|| classify_status(status));
    if matches!(kind, ContextOverflow | ContentFiltered) {
        return kind;
    }
    if outer == 413 || status == 413 {
        return TooLarge;
    }
    if let Some(kind) = by_class(body) {
        return kind;
    }
    let says_little = matches!(kind, RateLimit | InternalServer | Protocol);
    if says_little && limits::is_too_large(body) {
        return TooLarge;
    }
    match limits::limit(body, kind == RateLimit) {
        Some(Limit::Lasting) if !matches!(kind, TooLarge | NotFound | Redirect | Cancelled) => {
            QuotaExceeded
        }
        _ => kind,
    }
}

/// LiteLLM's error class, which is only in its message, because its code is a status. A textual code has precedence
/// over a message, which may quote the prompt.
fn by_class(body: &ErrorBody) -> Option<ErrorKind> {
    const CLASSES: [(&str, ErrorKind); 2] = [
        ("ContextWindowExceededError", ContextOverflow),
        ("ContentPolicyViolationError", ContentFiltered),
    ];
    let has_word = |code: &String| code.parse::<u16>().is_err();
    if body.code.as_ref().is_some_and(has_word) {
        return None;
    }
    let message = body.message.as_deref()?;
    let class = CLASSES
        .iter()
        .find(|(class, _)| phrases::normalized_phrase(message, class).is_some());
    class.map(|(_, kind)| *kind)
}

/// The kind of a status without a code.
fn classify_status(status: u16) -> ErrorKind {
    match status {
        300..=399 => Redirect,
        401 => Authentication,
        402 => QuotaExceeded,
        403 | 407 => PermissionDenied,
        404 => NotFound,
        408 | 504 => Timeout,
        409 => Conflict,
        413 => TooLarge,
        422 => UnprocessableEntity,
        429 => RateLimit,
        498 => Authentication,
        499 => Cancelled,
        503 => ServiceUnavailable,
        529 => Overloaded,
        400..=499 => BadRequest,
        500..=599 => InternalServer,
        _ => Protocol,
    }
}

/// Codes with one meaning at every provider that uses them. Sources: the providers' error references and recordings.
fn by_error_code(word: &str, status: u16) -> Option<ErrorKind> {
    // AWS: `com.amazon.coral.service#ThrottlingException:http://..`
    let word = word.split(':').next().unwrap_or(word);
    let word = word.rsplit('#').next().unwrap_or(word);
    Some(match word {
        "context_length_exceeded"
        | "exceed_context_size_error"
        // Z.ai: the prompt is too long.
        | "1261"
        | "too_many_prompt_tokens"
        | "model_context_window_exceeded"
        | "string_above_max_length" => ContextOverflow,
        "content_filter"
        | "ResponsibleAIPolicyViolation"
        | "content_policy_violation"
        | "moderation_error"
        | "cyber_policy"
        | "cyber_policy_violation"
        | "data_inspection_failed"
        | "invalid_prompt"
        | "image_content_policy_violation"
        // Gemini Interactions: "Generation blocked codes" of Google's error reference.
        | "safety"
        | "recitation"
        | "language"
        | "prohibited_content"
        | "spii"
        | "blocklist"
        | "image_safety"
        | "image_prohibited_content"
        | "image_recitation"
        | "image_other"
        | "content_blocked" => ContentFiltered,
        "invalid_api_key"
        | "wrong_api_key"
        | "authentication_error"
        | "API_KEY_INVALID"
        | "UNAUTHENTICATED"
        | "invalid_authentication_error"
        | "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "MissingAuthenticationTokenException" => Authentication,
        "permission_error"
        | "PERMISSION_DENIED"
        | "AccessDeniedException"
        | "permission_denied" => PermissionDenied,
        "model_not_found"
        | "not_found_error"
        | "NOT_FOUND"
        | "ResourceNotFoundException"
        | "UnknownOperationException"
        | "DeploymentNotFound" => NotFound,
        "queue_exceeded"
        | "overloaded_error"
        | "server_is_overloaded"
        | "engine_overloaded"
        | "engine_overloaded_error"
        | "ModelNotReadyException"
        | "model_overloaded" => Overloaded,
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "too_many_requests_error"
        | "RESOURCE_EXHAUSTED"
        | "request_quota_exceeded"
        | "token_quota_exceeded"
        | "ThrottlingException"
        | "throttlingException"
        | "RateLimitReached"
        | "rate_limit_reached_error"
        | "TooManyRequestsException"
        // The other throttling codes of AWS services, as the AWS SDKs list them.
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "BandwidthLimitExceeded"
        | "ProvisionedThroughputExceededException"
        | "PriorRequestNotComplete"
        | "SlowDown" => RateLimit,
        "ConflictException" => Conflict,
        "request_too_large" => TooLarge,
        "ServiceUnavailableException"
        | "ServiceUnavailable"
        | "serviceUnavailableException"
        | "UNAVAILABLE"
        | "service_unavailable"
        | "unavailable_error" => ServiceUnavailable,
        "InternalServerException"
        | "InternalFailure"
        | "InternalServerError"
        | "internalServerException"
        | "modelStreamErrorException"
        | "ModelStreamErrorException"
        | "ModelErrorException" => InternalServer,
        "ModelTimeoutException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "modelTimeoutException"
        | "vector_store_timeout"
        | "DEADLINE_EXCEEDED" => Timeout,
        "ValidationException" | "validationException" | "wrong_api_format" => BadRequest,
        "timeout_error" if !(400..500).contains(&status) => Timeout,
        // The other codes are less specific than a status such as 503.
        _ if status >= 400 => return None,
        "server_error" | "api_error" | "INTERNAL" | "internal_error" => InternalServer,
        "invalid_request_error"
        | "INVALID_ARGUMENT"
        | "invalid_request"
        | "parameter_unknown"
        | "failed_precondition"
        | "out_of_range"
        | "unimplemented" => BadRequest,
        // Gemini Interactions: the words for the statuses 401, 402, 404, 409, 429, 499 and 504.
        "authentication" => Authentication,
        "payment_required" => QuotaExceeded,
        "not_found" => NotFound,
        "already_exists" | "aborted" => Conflict,
        "too_many_requests" => RateLimit,
        "cancelled" => Cancelled,
        "deadline_exceeded" | "gateway_timeout" => Timeout,
        _ => return None,
    })
}

// Converts the codecs' errors to errors of a call.

impl From<SseError> for Error {
    fn from(error: SseError) -> Self {
        let kind = match error {
            SseError::EventTooLarge { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Protocol,
        };
        Error::new(kind, error.to_string())
    }
}

impl From<NdjsonError> for Error {
    fn from(error: NdjsonError) -> Self {
        let kind = match error {
            NdjsonError::LineTooLong { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Protocol,
        };
        Error::new(kind, error.to_string())
    }
}

#[cfg(feature = "bedrock")]
impl From<crate::codec::event_stream::EventStreamError> for Error {
    fn from(error: crate::codec::event_stream::EventStreamError) -> Self {
        use crate::codec::event_stream::EventStreamError;
        let kind = match error {
            EventStreamError::MessageTooLarge { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Protocol,
        };
        Error::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // F62
    #[test]
    fn every_status_has_a_kind_and_only_passing_ones_are_retried() {
        for status in 100..=599_u16 {
            let kind = classify_status(status);
            let retried = matches!(status, 408 | 409 | 429 | 500..=599);
            assert_eq!(kind.is_retryable(), retried, "{status} {kind}");
        }
    }

    #[test]
    fn status_alone_gives_the_error_kind() {
        for (statuses, kind) in [
            (&[301, 308, 399][..], Redirect),
            (&[401, 498], Authentication),
            (&[402], QuotaExceeded),
            (&[403, 407], PermissionDenied),
            (&[404], NotFound),
            (&[408, 504], Timeout),
            (&[409], Conflict),
            (&[413], TooLarge),
            (&[422], UnprocessableEntity),
            (&[429], RateLimit),
            (&[499], Cancelled),
            (&[503], ServiceUnavailable),
            (&[529], Overloaded),
            (&[400, 418, 497], BadRequest),
            (&[500, 502, 599], InternalServer),
            (&[0, 200, 299, 600], Protocol),
        ] {
            for status in statuses {
                assert_eq!(classify(*status, &ErrorBody::default()), kind, "{status}");
            }
        }
    }

    // F29, F53
    #[test]
    fn the_code_counts_before_the_status() {
        let body = |code: &str, error_type: &str| ErrorBody {
            code: Some(code.into()),
            error_type: Some(error_type.into()),
            ..ErrorBody::default()
        };
        let cases = [
            (
                429,
                "insufficient_quota",
                "insufficient_quota",
                QuotaExceeded,
            ),
            (200, "overloaded_error", "", Overloaded),
            (200, "", "rate_limit_error", RateLimit),
            (
                400,
                "context_length_exceeded",
                "invalid_request_error",
                ContextOverflow,
            ),
            (429, "queue_exceeded", "too_many_requests_error", Overloaded),
            (
                429,
                "request_quota_exceeded",
                "too_many_requests_error",
                RateLimit,
            ),
            (404, "model_not_found", "not_found_error", NotFound),
            (400, "wrong_api_format", "invalid_request_error", BadRequest),
            (
                400,
                "",
                "com.amazon.coral.service#ThrottlingException:http://x/",
                RateLimit,
            ),
            (418, "teapot", "short_and_stout", BadRequest),
            (401, "", "api_error", Authentication),
            (404, "server_error", "", NotFound),
            (408, "", "timeout_error", Timeout),
            (500, "", "api_error", InternalServer),
            (200, "", "server_error", InternalServer),
            (503, "", "server_error", ServiceUnavailable),
            (504, "", "server_error", Timeout),
            (529, "", "api_error", Overloaded),
            (400, "", "server_error", BadRequest),
            (399, "", "server_error", InternalServer),
            (200, "", "INVALID_ARGUMENT", BadRequest),
            (200, "", "timeout_error", Timeout),
            (200, "gateway_timeout", "", Timeout),
            (200, "authentication", "", Authentication),
            (200, "too_many_requests", "", RateLimit),
            (200, "parameter_unknown", "", BadRequest),
            (200, "safety", "", ContentFiltered),
            (400, "prohibited_content", "", ContentFiltered),
            (400, "invalid_request", "", BadRequest),
            (429, "quota_exceeded", "", QuotaExceeded),
            (400, "", "timeout_error", BadRequest),
            (500, "", "timeout_error", Timeout),
            (400, "content_filter", "", ContentFiltered),
            (400, "", "UnrecognizedClientException", Authentication),
            (400, "", "AccessDeniedException", PermissionDenied),
            (400, "", "ResourceNotFoundException", NotFound),
            (400, "", "ConflictException", Conflict),
            (400, "", "request_too_large", TooLarge),
            (400, "", "ServiceUnavailableException", ServiceUnavailable),
            (400, "", "InternalServerException", InternalServer),
            (400, "", "ModelTimeoutException", Timeout),
            (500, "", "ValidationException", BadRequest),
        ];
        for (status, code, error_type, kind) in cases {
            assert_eq!(
                classify(status, &body(code, error_type)),
                kind,
                "{status} {code} {error_type}"
            );
        }
    }

    #[test]
    fn a_status_inside_a_stream_counts_like_an_http_status() {
        let body = |status: u16, error_type: &str| ErrorBody {
            status: Some(status),
            error_type: Some(error_type.into()),
            ..ErrorBody::default()
        };
        for (status, error_type, kind) in [
            (503, "server_error", ServiceUnavailable),
            (404, "invalid_request_error", NotFound),
            (400, "invalid_request_error", BadRequest),
            (400, "overloaded_error", Overloaded),
        ] {
            assert_eq!(classify(200, &body(status, error_type)), kind, "{status}");
        }
    }
}
