//! Log probabilities in OpenAI's format, which Responses and Ollama share.

use super::lenient::{Count, List, Number, Object, Raw, Text, object};
use crate::chat::{TokenLogprob, TopLogprob};

object! {
    /// A token, its probability and its alternatives.
    struct Token<'a> {
        token: Text<'a>,
        logprob: Number,
        bytes: List<Count>,
        top_logprobs: List<Object<Token<'a>>>,
    }
}

/// The tokens that have a probability. They are decoded one by one: all of them together would take several times
/// their text.
pub(crate) fn tokens(list: &[Raw<'_>]) -> Vec<TokenLogprob> {
    let mut tokens = Vec::with_capacity(list.len());
    tokens.extend(list.iter().filter_map(|token| read(&token.read()?)));
    tokens
}

fn read(token: &Token<'_>) -> Option<TokenLogprob> {
    let top = |token: &Object<Token<'_>>| {
        let token = token.0.as_ref()?;
        Some(TopLogprob {
            token: token.token.to_string_or_empty(),
            logprob: token.logprob.0?,
            bytes: bytes(&token.bytes),
        })
    };
    Some(TokenLogprob {
        token: token.token.to_string_or_empty(),
        logprob: token.logprob.0?,
        bytes: bytes(&token.bytes),
        top_logprobs: token.top_logprobs.0.iter().filter_map(top).collect(),
    })
}

fn bytes(list: &List<Count>) -> Option<Vec<u8>> {
    let read = |byte: &Count| u8::try_from(byte.0?).ok();
    (!list.0.is_empty()).then(|| list.0.iter().filter_map(read).collect())
}
