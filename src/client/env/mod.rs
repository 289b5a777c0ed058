//! The only place that reads the environment, and the only one that draws a random number.

#[cfg(feature = "bedrock")]
mod aws;
mod clouds;
mod interactions;
mod providers;

use super::names;
use crate::{
    Error, ErrorKind,
    credentials::Environment,
    provider::{
        Anthropic, BaseUrl, BuildProvider, Cohere, Gemini, GeminiInteractions, Ollama, OpenAiChat,
        OpenAiResponses, Provider, ProviderBuilder, openai_responses::ResponsesProfile,
    },
};
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

/// Returns the value of a variable; `None` if it is unset or empty.
type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>, Error>;

/// Returns the text of a file; `None` if it does not exist.
type ReadFile<'a> = &'a dyn Fn(&str) -> Option<String>;

#[expect(clippy::disallowed_methods, reason = "what `from_env` reads")]
fn read_file(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Creates the provider of this name, with credentials from the environment, at `base_url` if one is given.
///
/// # Errors
/// `invalid_request`:
/// - if no provider has this name; similar names are suggested.
/// - if the provider needs a feature that is not enabled; the error names the feature.
/// - if its key is missing; the error names the variable, and its code is `missing_key`. With `base_url` no key is
///   needed: without one, requests carry none.
/// - if the key would be sent over `http://` to another machine, unless `UNIFIEDAI_ALLOW_INSECURE_HTTP=1` is set.
pub fn from_env(name: &str, base_url: Option<&str>) -> Result<Arc<dyn Provider>, Error> {
    use crate::provider::openai_chat::profiles;
    match name {
        "anthropic" => built(at(Anthropic::builder(), base_url).read_env()?),
        "azure-anthropic" => built(clouds::anthropic_on_azure(&variable, &read_file, base_url)?),
        "vertex-anthropic" => built(clouds::anthropic_on_vertex(
            &variable, &read_file, base_url,
        )?),
        "gemini" => built(at(Gemini::builder(), base_url).read_env()?),
        "vertex" => built(clouds::gemini_on_vertex(&variable, &read_file, base_url)?),
        "gemini-interactions" => built(at(GeminiInteractions::builder(), base_url).read_env()?),
        "vertex-interactions" => built(clouds::gemini_interactions_on_vertex(
            &variable, &read_file, base_url,
        )?),
        "cohere" => built(at(Cohere::builder(), base_url).read_env()?),
        "ollama" => built(at(Ollama::builder(), base_url).read_env()?),
        #[cfg(feature = "bedrock")]
        "bedrock" => {
            let builder = crate::provider::Bedrock::builder();
            built(at(builder, base_url).read_env()?)
        }
        #[cfg(not(feature = "bedrock"))]
        "bedrock" => Err(without_feature("bedrock")),
        other => {
            if let Some(profile) = profiles::by_name(other) {
                let builder = OpenAiChat::builder().profile(profile);
                return built(at(builder, base_url).read_env()?);
            }
            let responses = |profile: &&ResponsesProfile| profile.name == other;
            match ResponsesProfile::ALL.iter().find(responses) {
                Some(profile) => {
                    let builder = OpenAiResponses::builder().profile(*profile);
                    built(at(builder, base_url).read_env()?)
                }
                None => Err(names::unknown_provider(other)),
            }
        }
    }
}

fn built<P: BuildProvider + 'static>(
    builder: ProviderBuilder<P>,
) -> Result<Arc<dyn Provider>, Error> {
    Ok(Arc::new(builder.build()?))
}

fn at<P: BuildProvider>(builder: ProviderBuilder<P>, base_url: Option<&str>) -> ProviderBuilder<P> {
    match base_url {
        Some(url) => builder.base_url(url),
        None => builder,
    }
}

/// A variable with a URL, and the conversion of its value.
struct UrlVariable<'a> {
    name: &'a str,
    url: &'a dyn Fn(&str) -> String,
}

/// Reads the settings that the caller did not set: the key from the first of `keys` that is set, the URL from the
/// first of `urls`, and whether unencrypted keys are allowed. A missing key is an error unless it is optional or the
/// caller set a URL.
fn read<P: BuildProvider>(
    mut builder: ProviderBuilder<P>,
    variable: Lookup<'_>,
    keys: &[&str],
    urls: &[UrlVariable<'_>],
) -> Result<ProviderBuilder<P>, Error> {
    if allows_insecure_http(variable)? {
        builder = builder.allow_insecure_http();
    }
    if !builder.has_auth() {
        builder = match first(variable, keys)? {
            Some((name, key)) => builder
                .api_key(key)
                .map_err(|error| invalid_variable(&error, name))?,
            None if builder.defaults().key_optional || builder.has_base_url() => builder,
            None => return Err(builder.missing_key()),
        };
    }
    if builder.has_base_url() {
        return Ok(builder);
    }
    for UrlVariable { name, url } in urls {
        if let Some(value) = variable(name)? {
            return with_url(builder, name, &url(&value), ProviderBuilder::base_url);
        }
    }
    Ok(builder)
}

/// Sets the URL of a variable. It is checked here, so that an error names the variable. An error that a valid URL
/// would cause too is left to [`ProviderBuilder::build`].
fn with_url<'u, P: BuildProvider>(
    builder: ProviderBuilder<P>,
    name: &str,
    url: &'u str,
    set: impl Fn(ProviderBuilder<P>, &'u str) -> ProviderBuilder<P>,
) -> Result<ProviderBuilder<P>, Error> {
    let changed = set(builder.clone(), url);
    match changed.clone().build() {
        Err(error) if set(builder, "https://valid.example").build().is_ok() => {
            Err(invalid_variable(&error, name))
        }
        _ => Ok(changed),
    }
}

fn first<'n>(variable: Lookup<'_>, names: &[&'n str]) -> Result<Option<(&'n str, String)>, Error> {
    for name in names {
        if let Some(value) = variable(name)? {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}

#[cfg(not(feature = "bedrock"))]
fn without_feature(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "the provider `{name}` needs the feature `{name}` of the crate `unifiedai`, which is not enabled: add it to `features` in Cargo.toml"
        ),
    )
}

/// The value of a variable; `None` if it is unset or empty.
fn variable(name: &str) -> Result<Option<String>, Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the client reads the environment only here"
    )]
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("the environment variable {name} is not valid UTF-8"),
        )),
    }
}

impl Environment {
    /// Returns this process's variables as they are now. A variable that is not valid UTF-8 counts as unset.
    #[must_use]
    pub fn from_process() -> Self {
        environment(&variable)
    }
}

fn environment(variable: Lookup<'_>) -> Environment {
    Environment::new(|name| variable(name).ok().flatten())
}

/// Whether the environment allows keys over `http://` to other machines.
fn allows_insecure_http(variable: Lookup<'_>) -> Result<bool, Error> {
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

/// A seed for one call. The standard library's hasher has random keys, which suffices for jitter.
pub(crate) fn seed() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the client draws one seed per call, only here"
    )]
    let random = RandomState::new();
    random.build_hasher().finish()
}

fn invalid_variable(error: &Error, name: &str) -> Error {
    Error::new(
        error.kind(),
        format!("in the environment variable {name}: {}", error.message()),
    )
}

/// `https://host` with the path of `template`: the official SDKs expect a URL without the API version in this
/// variable.
fn with_path_of(url: &str, template: &str) -> String {
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
    fn insecure_http_needs_an_explicit_value() {
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
    fn a_base_url_without_a_path_gets_the_profiles_path() {
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
