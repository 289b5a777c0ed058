//! Answers with status 200 that are errors all the same.

use super::types::Completion;
use crate::{Error, ErrorKind, error::ErrorBody, provider::kit::errors};

/// An error where an answer should be, whole or in a stream (F28, F31).
pub(super) fn embedded_error(completion: &Completion<'_>, data: &str) -> Option<Error> {
    if completion.error.text().is_some() {
        return Some(errors::from_event("", data.as_bytes()));
    }
    let groq = completion.x_groq.0.as_ref();
    if let Some(text) = groq.and_then(|groq| groq.error.text()) {
        return Some(wrapped(text));
    }
    let flat = completion.choices.is_none()
        && completion.id.0.is_none()
        && completion.usage.raw.text().is_none()
        && completion.prompt_filter_results.text().is_none();
    if completion.object.as_deref() == Some("error") || flat {
        ErrorBody::parse(data.as_bytes())?;
        return Some(errors::from_event("", data.as_bytes()));
    }
    None
}

/// The error whose value is `text`.
pub(super) fn wrapped(text: &str) -> Error {
    errors::from_event("", ["{\"error\":", text, "}"].concat().as_bytes())
}

/// Whether a finish reason says that the provider failed (F24).
pub(super) fn is_failure(reason: &str) -> bool {
    matches!(
        reason,
        "error" | "network_error" | "insufficient_system_resource"
    )
}

/// The error that such a finish reason stands for.
pub(super) fn failed_finish(reason: &str) -> Error {
    let kind = match reason {
        "insufficient_system_resource" => ErrorKind::Overloaded,
        _ => ErrorKind::InternalServer,
    };
    Error::new(
        kind,
        format!("the provider ended the answer with `{reason}`"),
    )
    .with_code(reason)
}
