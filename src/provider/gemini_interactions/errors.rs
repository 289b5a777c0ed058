//! Errors: of requests, of streams, and those inside an interaction.

use super::types::Interaction;
use crate::{
    Error, ErrorKind, Json,
    provider::{
        ResponseBuilder, gemini,
        kit::{
            errors,
            lenient::{self, Raw, RawElements, Text, object},
        },
    },
};

/// The error in an event.
pub(super) fn from_event(data: &str) -> Error {
    gemini::error_from_event("", data)
}

object! {
    struct ErrorFields<'a> {
        code: Text<'a>,
        message: Text<'a>,
    }
}

/// Whether the error of an event has neither a code nor a message.
pub(super) fn says_nothing(error: Raw<'_>) -> bool {
    let error: ErrorFields<'_> = error.read().unwrap_or_default();
    error.code.non_empty().is_none() && error.message.non_empty().is_none()
}

/// The errors inside an interaction: its own, and those of its steps.
#[derive(Debug)]
pub(super) struct StepErrors {
    own: Option<Json>,
    of_steps: Vec<(u32, Json)>,
}

impl StepErrors {
    pub(super) fn new(interaction: &Interaction<'_>, of_steps: Vec<(u32, Json)>) -> Self {
        let is_empty = |json: &Json| matches!(json.as_str(), "[]" | "{}" | "\"\"");
        let own = [interaction.errors, interaction.error];
        StepErrors {
            own: own
                .into_iter()
                .filter_map(Raw::json)
                .find(|json| !is_empty(json)),
            of_steps,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own.is_none() && self.of_steps.is_empty()
    }

    /// Whether one of them says that a filter blocked the output.
    pub(super) fn is_blocked(&self) -> bool {
        let own = self.own.iter();
        let all = own.chain(self.of_steps.iter().map(|(_, error)| error));
        all.map(error_of)
            .any(|error| error.kind() == ErrorKind::ContentFiltered)
    }

    /// The error of a failed interaction, whose HTTP status is 200.
    pub(super) fn into_failure(self, interaction: Raw<'_>) -> Error {
        let text = interaction.text().unwrap_or_default();
        let of_steps = self.of_steps.into_iter().map(|(_, error)| error);
        match self.own.into_iter().chain(of_steps).next() {
            Some(error) => error_of(&error),
            None => Error::new(
                ErrorKind::InternalServer,
                "the interaction failed and gave no reason",
            )
            .with_body(errors::beginning(text.as_bytes())),
        }
    }

    /// Keeps the errors of an interaction that has content nevertheless.
    pub(super) fn keep(self, out: &mut ResponseBuilder) -> Result<(), Error> {
        if let Some(own) = self.own {
            out.extra("errors", own)?;
        }
        for (number, error) in self.of_steps {
            out.extra(&format!("steps[{number}].error"), error)?;
        }
        Ok(())
    }
}

/// The first error of a list, or the error itself.
fn error_of(json: &Json) -> Error {
    let list: RawElements<'_> = lenient::parse(json.as_str()).unwrap_or_default();
    let first = list.0.first().and_then(|first| first.text());
    errors::from_value(first.unwrap_or(json.as_str()))
}
