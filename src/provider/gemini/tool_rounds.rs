//! Calls and their results, turn by turn. Where the wire has no ids, a result belongs to its call by its position.

use super::encode_part::EncodedPart;
use crate::Json;

/// The calls of the conversation, and the results of the current turn.
#[derive(Debug, Default)]
pub(super) struct ToolRounds<'a> {
    calls: Vec<Call<'a>>,
    /// Where the calls of the current turn begin.
    first: usize,
    results: Vec<ToolResponse<'a>>,
    /// The content that is to have the results.
    result_position: Option<usize>,
}

#[derive(Debug)]
struct Call<'a> {
    id: &'a str,
    name: &'a str,
    wire_id: Option<Json>,
    is_answered: bool,
}

#[derive(Debug)]
struct ToolResponse<'a> {
    order: usize,
    response: EncodedPart<'a>,
    /// What stands behind all results of the turn.
    media: Vec<EncodedPart<'a>>,
}

/// What is known of the call that a result answers.
#[derive(Debug)]
pub(super) struct ResolvedCall<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) wire_id: Option<Json>,
    /// The call's position among all.
    pub(super) order: usize,
}

impl<'a> ToolRounds<'a> {
    pub(super) fn call(&mut self, id: &'a str, name: &'a str, wire_id: Option<Json>) {
        self.calls.push(Call {
            id,
            name,
            wire_id,
            is_answered: false,
        });
    }

    /// The call that a result of this id answers: of the current turn the first without a result, else the last of the id.
    pub(super) fn answer(&mut self, id: &str) -> ResolvedCall<'a> {
        let is_open = |call: &Call<'_>| call.id == id && !call.is_answered;
        let current = self.calls.get(self.first..).unwrap_or_default();
        let at = current.iter().position(is_open);
        let at = at.map(|at| at.saturating_add(self.first));
        let at = at.or_else(|| self.calls.iter().rposition(|call| call.id == id));
        match at.and_then(|at| Some((at, self.calls.get_mut(at)?))) {
            Some((order, call)) => {
                call.is_answered = true;
                ResolvedCall {
                    name: Some(call.name),
                    wire_id: call.wire_id.clone(),
                    order,
                }
            }
            None => ResolvedCall {
                name: None,
                wire_id: None,
                order: usize::MAX,
            },
        }
    }

    pub(super) fn result(
        &mut self,
        order: usize,
        response: EncodedPart<'a>,
        media: Vec<EncodedPart<'a>>,
    ) {
        self.results.push(ToolResponse {
            order,
            response,
            media,
        });
    }

    /// Whether the current message has results and the turn has no content for them.
    pub(super) fn has_new_results(&self) -> bool {
        self.result_position.is_none() && !self.results.is_empty()
    }

    pub(super) fn result_position(&mut self, place: usize) {
        self.result_position = Some(place);
    }

    /// Ends the turn. Gives its results in the order of their calls, media behind them, and the place for them.
    pub(super) fn end(&mut self) -> Option<(usize, Vec<EncodedPart<'a>>)> {
        let place = self.result_position.take()?;
        self.first = self.calls.len();
        let mut results = std::mem::take(&mut self.results);
        results.sort_by_key(|result| result.order);
        let mut parts = Vec::with_capacity(results.len());
        let mut media = Vec::new();
        for mut result in results {
            parts.push(result.response);
            media.append(&mut result.media);
        }
        parts.append(&mut media);
        Some((place, parts))
    }
}
