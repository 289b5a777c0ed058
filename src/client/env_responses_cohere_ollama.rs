//! Which variables the providers read whose wires are their own.

use super::env::{allows_insecure_http, invalid_variable, missing, variable, with_path_of};
use crate::{
    Error,
    provider::{Cohere, Ollama, OpenAiResponses, openai_responses::ResponsesProfile},
};

impl OpenAiResponses {
    /// A server with the key from the environment, in the profile's variable (`OPENAI_API_KEY`), at `base_url`, else at the
    /// variable beside it (`OPENAI_BASE_URL`; for Azure also `AZURE_OPENAI_ENDPOINT`, the resource's address), else at the
    /// profile's own address.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong. With `base_url` a missing key is none.
    pub fn from_env(profile: ResponsesProfile, base_url: Option<&str>) -> Result<Self, Error> {
        let mut builder = OpenAiResponses::builder(profile);
        if allows_insecure_http(&variable)? {
            builder = builder.allow_insecure_http();
        }
        match variable(profile.key_env)? {
            Some(key) => {
                let key = builder.api_key(key);
                builder = key.map_err(|error| invalid_variable(&error, profile.key_env))?;
            }
            None if base_url.is_none() && !profile.key_optional => {
                return Err(missing(profile.name, profile.key_env));
            }
            None => {}
        }
        if let Some(url) = base_url {
            return builder.base_url(url).build();
        }
        let prefix = profile
            .key_env
            .strip_suffix("_API_KEY")
            .unwrap_or("RESPONSES");
        let own = ([prefix, "_BASE_URL"].concat(), profile.base_url);
        let endpoint = ([prefix, "_ENDPOINT"].concat(), "https://resource/openai/v1");
        for (name, template) in [own, endpoint] {
            if let Some(url) = variable(&name)? {
                let built = builder.base_url(with_path_of(&url, template)).build();
                return built.map_err(|error| invalid_variable(&error, &name));
            }
        }
        builder.build()
    }
}

impl Cohere {
    /// Cohere with the key in `COHERE_API_KEY` or `CO_API_KEY`, at `base_url`, else at `COHERE_BASE_URL` or `CO_API_URL`,
    /// else at its own address.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong. With `base_url` a missing key is none.
    pub fn from_env(base_url: Option<&str>) -> Result<Self, Error> {
        let mut builder = Cohere::builder();
        if allows_insecure_http(&variable)? {
            builder = builder.allow_insecure_http();
        }
        match first(&["COHERE_API_KEY", "CO_API_KEY"])? {
            Some((name, key)) => {
                builder = builder
                    .api_key(key)
                    .map_err(|error| invalid_variable(&error, name))?
            }
            None if base_url.is_none() => return Err(missing("cohere", "COHERE_API_KEY")),
            None => {}
        }
        if let Some(url) = base_url {
            return builder.base_url(url).build();
        }
        match first(&["COHERE_BASE_URL", "CO_API_URL"])? {
            Some((name, url)) => builder
                .base_url(url)
                .build()
                .map_err(|error| invalid_variable(&error, name)),
            None => builder.build(),
        }
    }
}

impl Ollama {
    /// The server at `base_url`, else at `OLLAMA_HOST` as the server itself reads it (`host`, `host:port` or a URL), else
    /// on this machine; with the key in `OLLAMA_API_KEY`, if there is one.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is wrong.
    pub fn from_env(base_url: Option<&str>) -> Result<Self, Error> {
        let mut builder = Ollama::builder();
        if allows_insecure_http(&variable)? {
            builder = builder.allow_insecure_http();
        }
        if let Some((name, key)) = first(&["OLLAMA_API_KEY"])? {
            builder = builder
                .api_key(key)
                .map_err(|error| invalid_variable(&error, name))?;
        }
        if let Some(url) = base_url {
            return builder.base_url(url).build();
        }
        match first(&["OLLAMA_HOST"])? {
            Some((name, host)) => {
                let built = builder.base_url(ollama_url(&host)).build();
                built.map_err(|error| invalid_variable(&error, name))
            }
            None => builder.build(),
        }
    }
}

/// The profile of a name such as `openai-responses`.
pub(crate) fn responses_profile(name: &str) -> Option<ResponsesProfile> {
    ResponsesProfile::ALL
        .iter()
        .find(|profile| profile.name == name)
        .copied()
}

fn first(names: &[&'static str]) -> Result<Option<(&'static str, String)>, Error> {
    for name in names {
        if let Some(value) = variable(name)? {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}

/// Without a scheme it is HTTP, and without a port Ollama's own.
fn ollama_url(host: &str) -> String {
    let host = host.trim();
    if host.contains("://") {
        return host.to_owned();
    }
    let (name, path) = match host.split_once('/') {
        Some((name, path)) => (name, path),
        None => (host, ""),
    };
    let in_brackets = name.rsplit(']').next().unwrap_or(name);
    let port = if in_brackets.contains(':') {
        ""
    } else {
        ":11434"
    };
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    ["http://", name, port, slash, path].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_as_ollama_reads_it() {
        for (host, url) in [
            ("127.0.0.1", "http://127.0.0.1:11434"),
            ("localhost:8080", "http://localhost:8080"),
            ("[::1]", "http://[::1]:11434"),
            ("[::1]:80", "http://[::1]:80"),
            ("box/ollama/", "http://box:11434/ollama"),
            ("https://ollama.com", "https://ollama.com"),
        ] {
            assert_eq!(ollama_url(host), url);
        }
    }

    #[test]
    fn every_profile_has_a_name_and_no_two_the_same() {
        for profile in ResponsesProfile::ALL {
            assert!(
                responses_profile(profile.name)
                    .is_some_and(|found| found.key_env == profile.key_env)
            );
            let same = ResponsesProfile::ALL
                .iter()
                .filter(|other| other.name == profile.name);
            assert_eq!(same.count(), 1, "{}", profile.name);
        }
        assert!(responses_profile("none").is_none());
    }
}
