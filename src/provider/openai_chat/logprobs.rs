use super::types::Choice;
use crate::{
    chat::{Logprobs, TokenLogprob, TopLogprob},
    provider::kit::lenient::{Count, List, Number, Raw, Text, object},
};

object! {
    struct Lists<'a> {
        content: List<Raw<'a>>,
        refusal: List<Raw<'a>>,
        /// DeepSeek.
        reasoning_content: List<Raw<'a>>,
    }
}

object! {
    struct Token<'a> {
        token: Text<'a>,
        logprob: Number,
        bytes: List<Count>,
        top_logprobs: List<Token<'a>>,
    }
}

/// The log probabilities of a choice, of the text and (Cerebras) of the reasoning.
pub(super) fn logprobs(choice: &Choice<'_>) -> Option<Logprobs> {
    if choice.logprobs.text().is_none() && choice.reasoning_logprobs.text().is_none() {
        return None;
    }
    let own: Option<Lists<'_>> = choice.logprobs.read();
    let reasoning: Option<Lists<'_>> = choice.reasoning_logprobs.read();
    if own.is_none() && reasoning.is_none() {
        return None;
    }
    let own = own.unwrap_or_default();
    Some(Logprobs {
        content: tokens(&own.content),
        refusal: tokens(&own.refusal),
        reasoning: tokens(match &reasoning {
            Some(reasoning) => &reasoning.content,
            None => &own.reasoning_content,
        }),
    })
}

/// They are read one by one: all of them would take several times their text.
fn tokens(list: &List<Raw<'_>>) -> Vec<TokenLogprob> {
    let token = |token: &Raw<'_>| {
        let token: Token<'_> = token.read()?;
        Some(TokenLogprob {
            token: token.token.to_string_or_empty(),
            logprob: token.logprob.0?,
            bytes: bytes(&token.bytes),
            top_logprobs: token.top_logprobs.0.iter().filter_map(top).collect(),
        })
    };
    let mut tokens = Vec::with_capacity(list.0.len());
    tokens.extend(list.0.iter().filter_map(token));
    tokens
}

fn top(token: &Token<'_>) -> Option<TopLogprob> {
    Some(TopLogprob {
        token: token.token.to_string_or_empty(),
        logprob: token.logprob.0?,
        bytes: bytes(&token.bytes),
    })
}

fn bytes(list: &List<Count>) -> Option<Vec<u8>> {
    let byte = |byte: &Count| u8::try_from(byte.0?).ok();
    (!list.0.is_empty()).then(|| list.0.iter().filter_map(byte).collect())
}
