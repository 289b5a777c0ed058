use crate::{ChatRequest, Message, Usage};

/// A conversation that the provider made shorter (`/responses/compact`).
///
/// Its messages replace those that were sent, except for the system messages, which it does not contain:
/// [`continue_in`](Self::continue_in) does that. They are for the same provider: another one gets only the texts of the user.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CompactedConversation {
    /// The id of the compaction. It is no stored response.
    pub id: Option<String>,
    /// The messages, one for each item of the answer: the user's unchanged, and a [`Compaction`](crate::chat::Compaction) of
    /// the rest.
    pub messages: Vec<Message>,
    /// What the compaction cost.
    pub usage: Option<Usage>,
}

impl CompactedConversation {
    /// Replaces the messages of `request` by its leading system messages and these.
    #[must_use]
    pub fn continue_in(&self, mut request: ChatRequest) -> ChatRequest {
        let system = |message: &Message| message.role == crate::Role::System;
        let leading = request.messages.iter().take_while(|m| system(m)).count();
        request.messages.truncate(leading);
        request.messages.extend(self.messages.iter().cloned());
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_messages_stay_and_all_others_are_replaced() {
        let request = ChatRequest::new("m").system("s").user("a").user("b");
        let compacted = CompactedConversation {
            messages: vec![Message::user("c")],
            ..CompactedConversation::default()
        };
        let texts: Vec<_> = compacted
            .continue_in(request)
            .messages
            .iter()
            .map(|message| message.text().into_owned())
            .collect();
        assert_eq!(texts, ["s", "c"]);
    }
}
