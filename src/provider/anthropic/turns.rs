//! Turns that the provider paused.

use crate::{ChatRequest, Json, UnifiedChatResponse};

/// The stop reason of a turn whose loop of the provider's own tools reached its limit of iterations. The content usually ends
/// with a call of such a tool whose result the next turn begins with.
const PAUSED: &str = "pause_turn";

/// The request with the turn so far as its last message, and with the container in which the provider ran code.
pub(super) fn next_turn(request: &ChatRequest, turn: &UnifiedChatResponse) -> Option<ChatRequest> {
    let choice = turn.choices.first()?;
    if choice.native_finish_reason.as_deref() != Some(PAUSED) || choice.message.content.is_empty() {
        return None;
    }
    let mut next = request.clone();
    next.messages.push(choice.message.clone());
    let is_container = |(name, _): &&(String, Json)| name == "container";
    let container = turn.provider_metadata.extra.iter().find(is_container);
    if let Some(id) = container.and_then(|(_, container)| container_id(container)) {
        if !next.extra.iter().any(|extra| is_container(&extra)) {
            next.extra.push(("container".to_owned(), id));
        }
    }
    Some(next)
}

fn container_id(container: &Json) -> Option<Json> {
    #[derive(serde::Deserialize)]
    struct Container {
        id: String,
    }
    let container: Container = container.decode().ok()?;
    Json::new(&container.id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, chat::Choice};

    fn paused() -> UnifiedChatResponse {
        let choice = Choice {
            message: Message::assistant("so far"),
            native_finish_reason: Some(PAUSED.to_owned()),
            ..Choice::default()
        };
        UnifiedChatResponse {
            choices: vec![choice],
            ..UnifiedChatResponse::default()
        }
    }

    #[test]
    fn a_paused_turn_becomes_the_last_message() {
        let request = ChatRequest::new("m").user("go");
        let next = next_turn(&request, &paused()).unwrap();
        assert_eq!(next.messages[1], Message::assistant("so far"));
        assert_eq!((next.messages.len(), next.extra.len()), (2, 0));

        let mut ended = paused();
        ended.choices[0].native_finish_reason = Some("end_turn".to_owned());
        let mut empty = paused();
        empty.choices[0].message.content.clear();
        for turn in [ended, empty, UnifiedChatResponse::default()] {
            assert_eq!(next_turn(&request, &turn), None);
        }
    }

    #[test]
    fn the_container_is_used_again_unless_the_request_names_one() {
        let request = ChatRequest::new("m").user("go");
        let mut turn = paused();
        let container = Json::parse(r#"{"id":"c_1","expires_at":"2026-11-30T00:00:00Z"}"#).unwrap();
        turn.provider_metadata.extra = vec![("container".to_owned(), container)];
        let next = next_turn(&request, &turn).unwrap();
        assert_eq!(
            next.extra,
            [("container".to_owned(), Json::new("c_1").unwrap())]
        );

        let own = request.extra("container", "mine").unwrap();
        assert_eq!(next_turn(&own, &turn).unwrap().extra, own.extra);
    }
}
