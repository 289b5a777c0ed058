//! The one place that reads the environment, and the one that draws a random number.

use super::{env_responses_cohere_ollama::responses_profile, names};
use crate::{
    Error, ErrorKind,
    provider::{
        Anthropic, BaseUrl, Cohere, Gemini, Ollama, OpenAiChat, OpenAiResponses, Provider,
        openai_chat::ChatProfile,
    },
};
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

impl OpenAiChat {
    /// A server with the key from the environment, in the profile's variable (`CEREBRAS_API_KEY`), at `base_url`, else at
    /// `<NAME>_BASE_URL`, else at the profile's own address. An address from the environment without a path gets the
    /// profile's path.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong. With `base_url` a missing key is none.
    pub fn from_env(profile: ChatProfile, base_url: Option<&str>) -> Result<Self, Error> {
        let mut builder = OpenAiChat::builder(profile);
        if allows_insecure_http(&variable)? {
            builder = builder.allow_insecure_http();
        }
        match variable(profile.key_env)? {
            Some(key) => {
                builder = builder
                    .api_key(key)
                    .map_err(|error| invalid_variable(&error, profile.key_env))?
            }
            None if base_url.is_none() && !profile.key_optional => {
                return Err(missing(profile.name, profile.key_env));
            }
            None => {}
        }
        if let Some(url) = base_url {
            return builder.base_url(url).build();
        }
        let name = format!(
            "{}_BASE_URL",
            profile.name.to_ascii_uppercase().replace('-', "_")
        );
        match variable(&name)? {
            Some(url) => builder
                .base_url(with_path_of(&url, profile.base_url))
                .build()
                .map_err(|error| invalid_variable(&error, &name)),
            None => builder.build(),
        }
    }
}

/// The provider of this name, with its credentials from the environment, at `base_url` if one is given.
///
/// # Errors
/// `invalid_request` if there is no provider of this name; names that are near it are suggested. If it is in a feature that
/// is off, the error names the feature. If its key is missing the error names the variable, and its code
/// is `missing_key`; with a `base_url` no key is needed, and none is sent then. A key goes over `http://` to another machine only
/// with `UNIFIEDAI_ALLOW_INSECURE_HTTP=1`.
pub fn from_env(name: &str, base_url: Option<&str>) -> Result<Arc<dyn Provider>, Error> {
    use crate::provider::openai_chat::profiles;
    match name {
        "anthropic" => Ok(Arc::new(Anthropic::from_env(base_url)?)),
        "azure-anthropic" => Ok(Arc::new(Anthropic::azure_from_env(base_url)?)),
        "vertex-anthropic" => Ok(Arc::new(Anthropic::vertex_from_env(base_url)?)),
        "gemini" => Ok(Arc::new(Gemini::from_env(base_url)?)),
        "vertex" => Ok(Arc::new(Gemini::vertex_from_env(base_url)?)),
        "cohere" => Ok(Arc::new(Cohere::from_env(base_url)?)),
        "ollama" => Ok(Arc::new(Ollama::from_env(base_url)?)),
        #[cfg(feature = "bedrock")]
        "bedrock" => Ok(Arc::new(crate::provider::Bedrock::from_env(base_url)?)),
        #[cfg(not(feature = "bedrock"))]
        "bedrock" => Err(without_feature("bedrock")),
        other => match (profiles::by_name(other), responses_profile(other)) {
            (Some(profile), _) => Ok(Arc::new(OpenAiChat::from_env(profile, base_url)?)),
            (None, Some(profile)) => Ok(Arc::new(OpenAiResponses::from_env(profile, base_url)?)),
            (None, None) => Err(names::unknown_provider(other)),
        },
    }
}

#[cfg(not(feature = "bedrock"))]
fn without_feature(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "the provider `{name}` is in the feature `{name}` of the crate `unifiedai`, which is off: add it to `features` in Cargo.toml"
        ),
    )
}

/// A variable's value; `None` if it is not set or empty.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell reads the environment, here and nowhere else"
    )]
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("the environment variable {name} is not text"),
        )),
    }
}

/// Whether the environment lets keys travel over `http://` to other machines.
pub(crate) fn allows_insecure_http(
    variable: &dyn Fn(&str) -> Result<Option<String>, Error>,
) -> Result<bool, Error> {
    let Some(value) = variable(BaseUrl::ALLOW_INSECURE_HTTP)? else {
        return Ok(false);
    };
    match value.trim() {
        "1" => Ok(true),
        "0" => Ok(false),
        word if word.eq_ignore_ascii_case("true") => Ok(true),
        word if word.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!(
                "the environment variable {} must be 1 or 0",
                BaseUrl::ALLOW_INSECURE_HTTP
            ),
        )),
    }
}

/// A seed for one call. The standard library's hasher is keyed at random, which is all that jitter needs.
pub(crate) fn seed() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell draws one seed a call, here and nowhere else"
    )]
    let random = RandomState::new();
    random.build_hasher().finish()
}

pub(crate) fn missing(provider: &str, variable: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!("`{provider}` needs a key: set the environment variable {variable}"),
    )
    .with_code("missing_key")
}

pub(crate) fn invalid_variable(error: &Error, name: &str) -> Error {
    Error::new(
        error.kind(),
        format!("in the environment variable {name}: {}", error.message()),
    )
}

/// `https://host` with the path of `template`: the official SDKs leave the version out of the variable.
pub(crate) fn with_path_of(url: &str, template: &str) -> String {
    let path = |url: &str| -> String {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split_once('/').map_or_else(String::new, |(_, path)| {
            path.trim_end_matches('/').to_owned()
        })
    };
    if path(url).is_empty() {
        return [url.trim_end_matches('/'), "/", &path(template)].concat();
    }
    url.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "bedrock"))]
    #[test]
    fn provider_behind_a_disabled_feature_names_the_feature() {
        let error = from_env("bedrock", None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("the feature `bedrock`"), "{error}");
    }

    #[test]
    fn insecure_http_is_allowed_by_plain_words_alone() {
        for (value, allowed) in [
            (None, Some(false)),
            (Some("1"), Some(true)),
            (Some(" True "), Some(true)),
            (Some("0"), Some(false)),
            (Some("false"), Some(false)),
            (Some("yes"), None),
        ] {
            let variable = |name: &str| {
                assert_eq!(name, BaseUrl::ALLOW_INSECURE_HTTP);
                Ok(value.map(str::to_owned))
            };
            assert_eq!(allows_insecure_http(&variable).ok(), allowed, "{value:?}");
        }
    }

    #[test]
    fn an_address_without_a_path_gets_the_profile_s() {
        let template = "https://api.cerebras.ai/v1";
        for (url, full) in [
            ("https://x", "https://x/v1"),
            ("https://x/", "https://x/v1"),
            ("http://127.0.0.1:80", "http://127.0.0.1:80/v1"),
            ("https://x/proxy/v1/", "https://x/proxy/v1/"),
        ] {
            assert_eq!(with_path_of(url, template), full);
        }
    }
}
