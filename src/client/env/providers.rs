//! The environment variables of each provider: those of the vendors' own tools.

use super::{Lookup, UrlVariable, at, invalid_variable, read, variable, with_path_of};
use crate::{
    Error, ErrorKind, Secret,
    provider::{
        Anthropic, Auth, BuildProvider, Cohere, Gemini, Ollama, OpenAiChat, OpenAiResponses,
        ProviderBuilder,
    },
};

impl Anthropic {
    /// Creates Anthropic with the key in `ANTHROPIC_API_KEY`, else the token in `ANTHROPIC_AUTH_TOKEN`, at
    /// `ANTHROPIC_BASE_URL` if that is set.
    ///
    /// ```no_run
    /// # use unifiedai::provider::Anthropic;
    /// let provider = Anthropic::from_env()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().read_env()?.build()
    }

    /// Creates Claude on Azure with the key in `ANTHROPIC_FOUNDRY_API_KEY` and the resource in
    /// `ANTHROPIC_FOUNDRY_RESOURCE`, or at `ANTHROPIC_FOUNDRY_BASE_URL`.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn azure_from_env() -> Result<Self, Error> {
        anthropic_on_azure(&variable, None)?.build()
    }

    /// Creates Claude on Vertex AI with the token in `GOOGLE_OAUTH_ACCESS_TOKEN`, the project in
    /// `GOOGLE_CLOUD_PROJECT` and the location in `GOOGLE_CLOUD_LOCATION` (default `global`). A program that outlives
    /// the token supplies tokens with a closure: [`vertex`](ProviderBuilder::vertex).
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn vertex_from_env() -> Result<Self, Error> {
        anthropic_on_vertex(&variable, None)?.build()
    }
}

impl ProviderBuilder<Anthropic> {
    /// Reads the settings that are not set yet from the environment, like [`Anthropic::from_env`]. With a
    /// [`base_url`](ProviderBuilder::base_url) the key may be missing.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn read_env(self) -> Result<Self, Error> {
        anthropic(self, &variable)
    }
}

impl Gemini {
    /// Creates Gemini with the key in `GEMINI_API_KEY`, else `GOOGLE_API_KEY`, at `GEMINI_BASE_URL` if that is set.
    ///
    /// ```no_run
    /// # use unifiedai::provider::Gemini;
    /// let provider = Gemini::from_env()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().read_env()?.build()
    }

    /// Creates Gemini on Vertex AI with the token in `GOOGLE_OAUTH_ACCESS_TOKEN`, the project in
    /// `GOOGLE_CLOUD_PROJECT` and the location in `GOOGLE_CLOUD_LOCATION` (default `global`). A program that outlives
    /// the token supplies tokens with a closure: [`vertex`](ProviderBuilder::vertex).
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn vertex_from_env() -> Result<Self, Error> {
        gemini_on_vertex(&variable, None)?.build()
    }
}

impl ProviderBuilder<Gemini> {
    /// Reads the settings that are not set yet from the environment, like [`Gemini::from_env`]. With a
    /// [`base_url`](ProviderBuilder::base_url) the key may be missing.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn read_env(self) -> Result<Self, Error> {
        gemini(self, &variable)
    }
}

impl OpenAiChat {
    /// Creates OpenAI with the key in `OPENAI_API_KEY`, at `OPENAI_BASE_URL` if that is set. For another server use
    /// [`read_env`](ProviderBuilder::read_env) on a builder with its profile, or
    /// [`provider::from_env`](crate::provider::from_env) with its name.
    ///
    /// ```no_run
    /// use unifiedai::provider::{OpenAiChat, openai_chat::profiles};
    /// let openai = OpenAiChat::from_env()?;
    /// let groq = OpenAiChat::builder().profile(profiles::GROQ).read_env()?.build()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().read_env()?.build()
    }
}

impl ProviderBuilder<OpenAiChat> {
    /// Reads the settings that are not set yet from the environment: the key from the profile's variable
    /// (`CEREBRAS_API_KEY`), the base URL from `<NAME>_BASE_URL`. The profile's path is added to a URL without a
    /// path. With a [`base_url`](ProviderBuilder::base_url) the key may be missing.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn read_env(self) -> Result<Self, Error> {
        openai_chat(self, &variable)
    }
}

impl OpenAiResponses {
    /// Creates OpenAI with the key in `OPENAI_API_KEY`, at `OPENAI_BASE_URL` if that is set. For another server use
    /// [`read_env`](ProviderBuilder::read_env) on a builder with its profile.
    ///
    /// ```no_run
    /// # use unifiedai::provider::OpenAiResponses;
    /// let provider = OpenAiResponses::from_env()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().read_env()?.build()
    }
}

impl ProviderBuilder<OpenAiResponses> {
    /// Reads the settings that are not set yet from the environment: the key from the profile's variable
    /// (`OPENAI_API_KEY`), the base URL from the variable with the same prefix (`OPENAI_BASE_URL`; for Azure also
    /// `AZURE_OPENAI_ENDPOINT`, the resource's URL). With a [`base_url`](ProviderBuilder::base_url) the key may be
    /// missing.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn read_env(self) -> Result<Self, Error> {
        openai_responses(self, &variable)
    }
}

impl Cohere {
    /// Creates Cohere with the key in `COHERE_API_KEY` or `CO_API_KEY`, at `COHERE_BASE_URL` or `CO_API_URL` if one
    /// is set.
    ///
    /// ```no_run
    /// # use unifiedai::provider::Cohere;
    /// let provider = Cohere::from_env()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().read_env()?.build()
    }
}

impl ProviderBuilder<Cohere> {
    /// Reads the settings that are not set yet from the environment, like [`Cohere::from_env`]. With a
    /// [`base_url`](ProviderBuilder::base_url) the key may be missing.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn read_env(self) -> Result<Self, Error> {
        cohere(self, &variable)
    }
}

impl Ollama {
    /// Creates Ollama at `OLLAMA_HOST` in the forms that the server accepts (`host`, `host:port` or a URL), else on
    /// this machine. The key is `OLLAMA_API_KEY`, if it is set.
    ///
    /// ```no_run
    /// # use unifiedai::provider::Ollama;
    /// let provider = Ollama::from_env()?;
    /// # Ok::<(), unifiedai::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request` that names the wrong variable.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().read_env()?.build()
    }
}

impl ProviderBuilder<Ollama> {
    /// Reads the settings that are not set yet from the environment, like [`Ollama::from_env`].
    ///
    /// # Errors
    /// `invalid_request` that names the wrong variable.
    pub fn read_env(self) -> Result<Self, Error> {
        ollama(self, &variable)
    }
}

fn anthropic(
    mut builder: ProviderBuilder<Anthropic>,
    variable: Lookup<'_>,
) -> Result<ProviderBuilder<Anthropic>, Error> {
    const KEY: &str = "ANTHROPIC_API_KEY";
    const TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
    if !builder.has_auth() && variable(KEY)?.is_none() {
        if let Some(token) = variable(TOKEN)? {
            builder = builder.auth(bearer(token, TOKEN)?);
        }
    }
    read(builder, variable, &[KEY], &[url("ANTHROPIC_BASE_URL")])
}

pub(super) fn anthropic_on_azure(
    variable: Lookup<'_>,
    base_url: Option<&str>,
) -> Result<ProviderBuilder<Anthropic>, Error> {
    const KEY: &str = "ANTHROPIC_FOUNDRY_API_KEY";
    const URL: &str = "ANTHROPIC_FOUNDRY_BASE_URL";
    const RESOURCE: &str = "ANTHROPIC_FOUNDRY_RESOURCE";
    const NAME: &str = "azure-anthropic";
    // With a base URL the resource's name is unused.
    let elsewhere = Anthropic::builder().azure("resource")?;
    let mut builder = read(at(elsewhere, base_url), variable, &[KEY], &[url(URL)])?;
    if builder.has_base_url() {
        return Ok(builder);
    }
    match variable(RESOURCE)? {
        Some(name) => {
            builder = builder
                .azure(&name)
                .map_err(|error| invalid_variable(&error, RESOURCE))?;
            Ok(builder)
        }
        None => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("`{NAME}` needs a resource: set {RESOURCE}"),
        )),
    }
}

pub(super) fn anthropic_on_vertex(
    variable: Lookup<'_>,
    base_url: Option<&str>,
) -> Result<ProviderBuilder<Anthropic>, Error> {
    let google = VertexSettings::find(variable, base_url.is_some())?;
    let builder = Anthropic::builder().vertex(&google.project, &google.location)?;
    vertex(at(builder, base_url), variable, google.token)
}

pub(super) fn gemini_on_vertex(
    variable: Lookup<'_>,
    base_url: Option<&str>,
) -> Result<ProviderBuilder<Gemini>, Error> {
    let google = VertexSettings::find(variable, base_url.is_some())?;
    let builder = Gemini::builder().vertex(&google.project, &google.location)?;
    vertex(at(builder, base_url), variable, google.token)
}

fn gemini(
    builder: ProviderBuilder<Gemini>,
    variable: Lookup<'_>,
) -> Result<ProviderBuilder<Gemini>, Error> {
    let keys = ["GEMINI_API_KEY", "GOOGLE_API_KEY"];
    read(builder, variable, &keys, &[url("GEMINI_BASE_URL")])
}

fn openai_chat(
    builder: ProviderBuilder<OpenAiChat>,
    variable: Lookup<'_>,
) -> Result<ProviderBuilder<OpenAiChat>, Error> {
    let profile = builder.defaults();
    let name = profile.name.to_ascii_uppercase().replace('-', "_") + "_BASE_URL";
    let url = UrlVariable {
        name: &name,
        url: &|url| with_path_of(url, profile.base_url),
    };
    read(builder, variable, &[profile.key_env], &[url])
}

fn openai_responses(
    builder: ProviderBuilder<OpenAiResponses>,
    variable: Lookup<'_>,
) -> Result<ProviderBuilder<OpenAiResponses>, Error> {
    let profile = builder.defaults();
    let prefix = profile
        .key_env
        .strip_suffix("_API_KEY")
        .unwrap_or("RESPONSES");
    let own = UrlVariable {
        name: &[prefix, "_BASE_URL"].concat(),
        url: &|url| with_path_of(url, profile.base_url),
    };
    let endpoint = UrlVariable {
        name: &[prefix, "_ENDPOINT"].concat(),
        url: &|url| with_path_of(url, "https://resource/openai/v1"),
    };
    read(builder, variable, &[profile.key_env], &[own, endpoint])
}

fn cohere(
    builder: ProviderBuilder<Cohere>,
    variable: Lookup<'_>,
) -> Result<ProviderBuilder<Cohere>, Error> {
    let urls = [url("COHERE_BASE_URL"), url("CO_API_URL")];
    read(builder, variable, &["COHERE_API_KEY", "CO_API_KEY"], &urls)
}

fn ollama(
    builder: ProviderBuilder<Ollama>,
    variable: Lookup<'_>,
) -> Result<ProviderBuilder<Ollama>, Error> {
    let host = UrlVariable {
        name: "OLLAMA_HOST",
        url: &ollama_url,
    };
    read(builder, variable, &["OLLAMA_API_KEY"], &[host])
}

/// A variable whose value is the URL.
fn url(name: &str) -> UrlVariable<'_> {
    UrlVariable {
        name,
        url: &str::to_owned,
    }
}

const GOOGLE_TOKEN: &str = "GOOGLE_OAUTH_ACCESS_TOKEN";

/// Project, location and token for Vertex AI.
struct VertexSettings {
    project: String,
    location: String,
    token: Option<String>,
}

impl VertexSettings {
    fn find(variable: Lookup<'_>, is_elsewhere: bool) -> Result<Self, Error> {
        const PROJECT: &str = "GOOGLE_CLOUD_PROJECT";
        let token = variable(GOOGLE_TOKEN)?;
        let project = match variable(PROJECT)? {
            Some(project) => project,
            // A server at a custom base URL has no Google Cloud projects, and a missing token is reported first.
            None if is_elsewhere || token.is_none() => "local".to_owned(),
            None => {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!("Vertex AI needs a project: set the environment variable {PROJECT}"),
                ));
            }
        };
        let location = variable("GOOGLE_CLOUD_LOCATION")?;
        Ok(VertexSettings {
            project,
            location: location.unwrap_or_else(|| "global".to_owned()),
            token,
        })
    }
}

fn vertex<P: BuildProvider>(
    mut builder: ProviderBuilder<P>,
    variable: Lookup<'_>,
    token: Option<String>,
) -> Result<ProviderBuilder<P>, Error> {
    if let Some(token) = token {
        builder = builder.auth(bearer(token, GOOGLE_TOKEN)?);
    }
    read(builder, variable, &[], &[])
}

fn bearer(token: String, name: &str) -> Result<Auth, Error> {
    let secret = Secret::new(token).map_err(|error| invalid_variable(&error, name))?;
    Ok(Auth::Bearer(secret.into()))
}

/// The scheme defaults to HTTP, and the port to Ollama's.
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
    use crate::provider::Provider;

    fn with<'v>(
        set: &'v [(&'v str, &'v str)],
    ) -> impl Fn(&str) -> Result<Option<String>, Error> + 'v {
        |name| {
            let found = set.iter().find(|(other, _)| *other == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        }
    }

    #[test]
    fn keys_and_base_urls_are_read_from_the_usual_variables() {
        let set = [
            ("ANTHROPIC_API_KEY", "k"),
            ("ANTHROPIC_BASE_URL", "https://proxy.example"),
            ("GOOGLE_API_KEY", "g"),
            ("ANTHROPIC_FOUNDRY_API_KEY", "f"),
            ("ANTHROPIC_FOUNDRY_RESOURCE", "res"),
        ];
        let lookup = with(&set);
        let own = anthropic(Anthropic::builder(), &lookup)
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(own.base_url().as_str(), "https://proxy.example/v1");
        let given = anthropic(
            Anthropic::builder().base_url("http://127.0.0.1:1/v1"),
            &lookup,
        )
        .unwrap()
        .build()
        .unwrap();
        assert_eq!(given.base_url().as_str(), "http://127.0.0.1:1/v1");
        let azure = anthropic_on_azure(&lookup, None).unwrap().build().unwrap();
        assert_eq!(
            azure.base_url().as_str(),
            "https://res.services.ai.azure.com/anthropic/v1"
        );
        let google = gemini(Gemini::builder(), &lookup).unwrap().build().unwrap();
        assert!(google.auth().is_required());
    }

    #[test]
    fn missing_settings_are_named() {
        let none = with(&[]);
        let cases = [
            (
                anthropic(Anthropic::builder(), &none).unwrap_err(),
                "ANTHROPIC_API_KEY",
                Some("missing_key"),
            ),
            (
                gemini(Gemini::builder(), &none).unwrap_err(),
                "GEMINI_API_KEY",
                Some("missing_key"),
            ),
            (
                anthropic_on_azure(&none, None).unwrap_err(),
                "ANTHROPIC_FOUNDRY_API_KEY",
                Some("missing_key"),
            ),
            (
                anthropic_on_azure(&with(&[("ANTHROPIC_FOUNDRY_API_KEY", "k")]), None).unwrap_err(),
                "ANTHROPIC_FOUNDRY_RESOURCE",
                None,
            ),
            (
                gemini_on_vertex(&none, None).unwrap_err(),
                "GOOGLE_OAUTH_ACCESS_TOKEN",
                Some("missing_key"),
            ),
        ];
        for (error, name, code) in cases {
            assert!(error.message().contains(name), "{error}");
            assert_eq!(error.code(), code);
        }
        assert!(
            anthropic(Anthropic::builder().base_url("http://127.0.0.1:1"), &none)
                .unwrap()
                .build()
                .is_ok()
        );
        assert!(
            gemini(Gemini::builder().base_url("http://127.0.0.1:1"), &none)
                .unwrap()
                .build()
                .is_ok()
        );
        let google = VertexSettings::find(&none, true).unwrap();
        assert_eq!(
            (google.project.as_str(), google.location.as_str()),
            ("local", "global")
        );
    }

    #[test]
    fn an_invalid_key_is_refused_with_its_variable_and_without_its_value() {
        let set = [("ANTHROPIC_API_KEY", "canary\n")];
        let error = anthropic(Anthropic::builder(), &with(&set)).unwrap_err();
        assert!(error.message().contains("ANTHROPIC_API_KEY"), "{error}");
        assert!(!error.message().contains("canary"), "{error}");
    }

    #[test]
    fn ollama_host_is_read_as_ollama_reads_it() {
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
    fn an_invalid_base_url_is_refused_with_its_variable() {
        let set = [
            ("ANTHROPIC_API_KEY", "k"),
            ("ANTHROPIC_BASE_URL", "nowhere"),
            ("GEMINI_API_KEY", "k"),
            ("GEMINI_BASE_URL", "http://gateway.example"),
            ("COHERE_API_KEY", "k"),
            ("CO_API_URL", "nowhere"),
            ("OPENAI_API_KEY", "k"),
            ("OPENAI_BASE_URL", "ftp://x"),
            ("OLLAMA_HOST", "a b"),
        ];
        let lookup = with(&set);
        let cases = [
            (
                anthropic(Anthropic::builder(), &lookup).unwrap_err(),
                "ANTHROPIC_BASE_URL",
            ),
            (
                gemini(Gemini::builder(), &lookup).unwrap_err(),
                "GEMINI_BASE_URL",
            ),
            (
                cohere(Cohere::builder(), &lookup).unwrap_err(),
                "CO_API_URL",
            ),
            (
                openai_chat(OpenAiChat::builder(), &lookup).unwrap_err(),
                "OPENAI_BASE_URL",
            ),
            (
                openai_responses(OpenAiResponses::builder(), &lookup).unwrap_err(),
                "OPENAI_BASE_URL",
            ),
            (
                ollama(Ollama::builder(), &lookup).unwrap_err(),
                "OLLAMA_HOST",
            ),
        ];
        for (error, name) in cases {
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn settings_of_the_builder_are_not_read_from_the_environment() {
        let set = [
            ("GROQ_API_KEY", "from the environment\n"),
            ("GROQ_BASE_URL", "nowhere"),
        ];
        let builder = OpenAiChat::builder()
            .profile(crate::provider::openai_chat::profiles::GROQ)
            .api_key("own")
            .unwrap()
            .base_url("https://proxy.example/v1");
        let groq = openai_chat(builder, &with(&set)).unwrap().build().unwrap();
        assert_eq!(groq.base_url().as_str(), "https://proxy.example/v1");
    }
}
