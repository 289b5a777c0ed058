//! The names of providers, and suggestions for misspelled ones.

use crate::{
    Error, ErrorKind,
    provider::{kit::model, openai_chat::profiles, openai_responses},
};

/// Providers with an API of their own. Bedrock is included whether or not its feature is enabled.
const BUILT_IN: [&str; 10] = [
    "anthropic",
    "azure-anthropic",
    "vertex-anthropic",
    "bedrock",
    "gemini",
    "vertex",
    "gemini-interactions",
    "vertex-interactions",
    "cohere",
    "ollama",
];

/// Names of vendors, products and models that suggest a provider.
const ALIASES: [(&str, &str); 31] = [
    ("amazon", "bedrock"),
    ("amazon-bedrock", "bedrock"),
    ("aws", "bedrock"),
    ("azure-openai", "azure"),
    ("chatgpt", "openai"),
    ("claude", "anthropic"),
    ("dashscope", "alibaba"),
    ("foundry", "azure-foundry"),
    ("glm", "zai"),
    ("google", "gemini"),
    ("google-vertex", "vertex"),
    ("gpt", "openai"),
    ("grok", "xai"),
    ("hf", "huggingface"),
    ("interactions", "gemini-interactions"),
    ("kimi", "moonshot"),
    ("lmstudio", "lm-studio"),
    ("llamacpp", "llama-cpp"),
    ("llama.cpp", "llama-cpp"),
    ("mantle", "bedrock-mantle"),
    ("moonshotai", "moonshot"),
    ("nim", "nvidia"),
    ("open-router", "openrouter"),
    ("palm", "gemini"),
    ("qwen", "alibaba"),
    ("responses", "openai-responses"),
    ("sonar", "perplexity"),
    ("together-ai", "together"),
    ("vertex-ai", "vertex"),
    ("workers-ai", "cloudflare-workers"),
    ("zhipu", "zai"),
];

/// Names that differ by more edits are not suggested.
const MAX_EDIT_DISTANCE: usize = 2;
const MAX_SUGGESTIONS: usize = 3;
/// Longer texts get no suggestion.
const MAX_NAME_BYTES: usize = 40;

/// Providers whose name can also begin a model's own name, in addition to Bedrock's model vendors.
const MAKERS: [&str; 5] = ["alibaba", "databricks", "gemini", "perplexity", "snowflake"];

/// Whether a model's own name may begin with this name and a dot: Bedrock has `anthropic.claude-..` and
/// `openai.gpt-..`.
pub(crate) fn is_maker(name: &str) -> bool {
    let mut makers = MAKERS.iter().chain(model::BEDROCK_VENDORS);
    makers.any(|maker| maker.eq_ignore_ascii_case(name))
}

/// Whether this is a provider's name with which no model's own name begins, so that the prefix can only mean the
/// provider.
pub(crate) fn is_provider_alone(name: &str) -> bool {
    !is_maker(name) && known().any(|known| known.eq_ignore_ascii_case(name))
}

/// The error for an unknown provider.
pub(crate) fn unknown_provider(name: &str) -> Error {
    let known: Vec<&str> = known().collect();
    let near: Vec<String> = suggestions(name)
        .iter()
        .map(|near| format!("`{near}`"))
        .collect();
    let meant = match near.as_slice() {
        [] => String::new(),
        near => format!("did you mean {}? ", near.join(" or ")),
    };
    let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "no provider is named `{}`; {meant}known are: {}",
            shown.escape_debug(),
            known.join(", ")
        ),
    )
}

fn known() -> impl Iterator<Item = &'static str> {
    let chat = profiles::ALL.iter().map(|profile| profile.name);
    let responses = openai_responses::ResponsesProfile::ALL.iter();
    BUILT_IN
        .into_iter()
        .chain(chat)
        .chain(responses.map(|profile| profile.name))
}

/// Similar names, the most similar first.
fn suggestions(name: &str) -> Vec<&'static str> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Vec::new();
    }
    let name = name.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    let mut near: Vec<(usize, &str)> = Vec::new();
    let by_other = ALIASES.iter().map(|(other, known)| (*other, *known));
    for (spelled, known) in known().map(|known| (known, known)).chain(by_other) {
        let changes = distance(&name, spelled);
        // Short names are within this distance of too many others.
        let is_near = changes <= MAX_EDIT_DISTANCE && changes.saturating_mul(3) <= spelled.len();
        match near.iter_mut().find(|(_, other)| *other == known) {
            Some((least, _)) => *least = changes.min(*least),
            None if is_near => near.push((changes, known)),
            None => {}
        }
    }
    near.sort_by_key(|(changes, _)| *changes);
    near.truncate(MAX_SUGGESTIONS);
    near.into_iter().map(|(_, known)| known).collect()
}

/// Edit distance in bytes: insertions, deletions, substitutions and transpositions (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for (j, b) in to.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX);
            let changed = at(&row, j).saturating_add(usize::from(a != b));
            let added = at(&next, j).saturating_add(1);
            let taken = at(&row, j.saturating_add(1)).saturating_add(1);
            let mut least = changed.min(added).min(taken);
            let crosses = |(i, j): (usize, usize)| from.get(i) == Some(b) && to.get(j) == Some(a);
            if let Some(last) = i
                .checked_sub(1)
                .zip(j.checked_sub(1))
                .filter(|at| crosses(*at))
            {
                least = least.min(at(&before, last.1).saturating_add(1));
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_suggested() {
        for (name, meant) in [
            ("antropic", "anthropic"),
            ("anthropci", "anthropic"),
            ("Anthropic", "anthropic"),
            ("opena", "openai"),
            ("open_router", "openrouter"),
            ("bedrok", "bedrock"),
            ("aws", "bedrock"),
            ("gemni", "gemini"),
            ("google", "gemini"),
            ("kimi", "moonshot"),
            ("lm_studio", "lm-studio"),
            ("openai-response", "openai-responses"),
            ("vertex ai", "vertex"),
        ] {
            let error = unknown_provider(name);
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            let said = format!("did you mean `{meant}`");
            assert!(error.message().contains(&said), "{name}: {error}");
        }
        for name in ["", "nobody", "x", &"x".repeat(5000)] {
            let error = unknown_provider(name);
            assert!(!error.message().contains("did you mean"), "{error}");
            assert!(
                error.message().contains("known are: anthropic, "),
                "{error}"
            );
            assert!(error.message().len() < 2000);
        }
    }

    #[test]
    fn a_prefix_means_a_provider_unless_models_begin_with_it() {
        for name in [
            "bedrock",
            "cerebras",
            "groq",
            "openrouter",
            "vllm",
            "azure-v1",
        ] {
            assert!(is_provider_alone(name), "{name}");
        }
        for name in [
            "anthropic",
            "openai",
            "mistral",
            "gemini",
            "gpt-4",
            "foo",
            "",
        ] {
            assert!(!is_provider_alone(name), "{name}");
        }
    }

    #[test]
    fn every_alias_leads_to_a_known_provider() {
        for (other, meant) in ALIASES {
            assert!(known().any(|known| known == meant), "{other}");
            assert!(known().all(|known| known != other), "{other}");
        }
    }

    #[test]
    fn edits_are_counted() {
        for (from, to, changes) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("groq", "groq", 0),
            ("gorq", "groq", 1),
            ("grok", "groq", 1),
            ("grq", "groq", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!(distance(from, to), changes, "{from} {to}");
        }
    }
}
