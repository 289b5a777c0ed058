//! The environment variables of each provider: those of the vendors' own tools.

use super::{
    Lookup, ReadFile, UrlVariable,
    clouds::{anthropic_on_azure, anthropic_on_vertex, azure_identity, gemini_on_vertex},
    environment, invalid_variable, read, read_file, variable, with_path_of, with_url,
};
use crate::{
    Error, ErrorKind, Secret,
    provider::{
        Anthropic, Auth, BuildProvider, Cohere, Gemini, Ollama, OpenAiChat, OpenAiResponses,
        ProviderBuilder,
    },
};

impl Anthropic {
    /// Creates Anthropic with the key in `ANTHROPIC_API_KEY`, else the token in `ANTHROPIC_AUTH_TOKEN`, else the
    /// [profile](crate::credentials::Environment::anthropic_profile) `ANTHROPIC_PROFILE`, else by the federation that
    /// [`Environment::anthropic_federation`](crate::credentials::Environment::anthropic_federation) finds, else with the
    /// active profile, if there is one: that in the file `active_config`, or `default`. At the `base_url` of the profile,
    /// else at `ANTHROPIC_BASE_URL` if that is set.
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

    /// Creates Claude on Azure with the key in `ANTHROPIC_FOUNDRY_API_KEY`, else the credentials of
    /// [`Environment::azure`](crate::credentials::Environment::azure), and the resource in `ANTHROPIC_FOUNDRY_RESOURCE`, or at `ANTHROPIC_FOUNDRY_BASE_URL`.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn azure_from_env() -> Result<Self, Error> {
        anthropic_on_azure(&variable, &read_file, None)?.build()
    }

    /// Creates Claude on Vertex AI with the token in `GOOGLE_OAUTH_ACCESS_TOKEN`, else with application default credentials
    /// ([`Environment::google_for_vertex`](crate::credentials::Environment::google_for_vertex)); the project in `GOOGLE_CLOUD_PROJECT`, else that of the credentials' file, and the
    /// location in `GOOGLE_CLOUD_LOCATION` (else `global`).
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn vertex_from_env() -> Result<Self, Error> {
        anthropic_on_vertex(&variable, &read_file, None)?.build()
    }
}

impl ProviderBuilder<Anthropic> {
    /// Reads the settings that are not set yet from the environment, like [`Anthropic::from_env`]. With a
    /// [`base_url`](ProviderBuilder::base_url) the key may be missing.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn read_env(self) -> Result<Self, Error> {
        anthropic(self, &variable, &read_file)
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

    /// Creates Gemini on Vertex AI with the token in `GOOGLE_OAUTH_ACCESS_TOKEN`, else with application default credentials
    /// ([`Environment::google_for_vertex`](crate::credentials::Environment::google_for_vertex)); the project in `GOOGLE_CLOUD_PROJECT`, else that of the credentials' file, and the
    /// location in `GOOGLE_CLOUD_LOCATION` (else `global`).
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn vertex_from_env() -> Result<Self, Error> {
        gemini_on_vertex(&variable, &read_file, None)?.build()
    }
}

impl ProviderBuilder<Gemini> {
    /// Reads the settings that are not set yet from the environment, like [`Gemini::from_env`]. With a
    /// [`base_url`](ProviderBuilder::base_url) the key may be missing.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong; a missing key has the code `missing_key`.
    pub fn read_env(self) -> Result<Self, Error> {
        google(self, &variable)
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
        openai_chat(self, &variable, &read_file)
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
        openai_responses(self, &variable, &read_file)
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
    file: ReadFile<'_>,
) -> Result<ProviderBuilder<Anthropic>, Error> {
    const KEY: &str = "ANTHROPIC_API_KEY";
    const TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
    if !builder.has_auth() && variable(KEY)?.is_none() {
        if let Some(token) = variable(TOKEN)? {
            builder = builder.auth(bearer(token, TOKEN)?);
        } else {
            let found = environment(variable).anthropic(file);
            let found =
                found.map_err(|error| Error::new(ErrorKind::InvalidRequest, error.message()))?;
            if let Some((credentials, base_url)) = found {
                builder = builder.auth(Auth::Bearer(credentials.into()));
                // The token of a profile is for the profile's host.
                if let (Some(url), false) = (base_url, builder.has_base_url()) {
                    let set = ProviderBuilder::base_url;
                    builder = with_url(builder, "`base_url` of the profile", &url, set)?;
                }
            }
        }
    }
    read(builder, variable, &[KEY], &[url("ANTHROPIC_BASE_URL")])
}

/// Either API of Google's developer API.
pub(super) fn google<P: BuildProvider>(
    builder: ProviderBuilder<P>,
    variable: Lookup<'_>,
) -> Result<ProviderBuilder<P>, Error> {
    let keys = ["GEMINI_API_KEY", "GOOGLE_API_KEY"];
    read(builder, variable, &keys, &[url("GEMINI_BASE_URL")])
}

fn openai_chat(
    builder: ProviderBuilder<OpenAiChat>,
    variable: Lookup<'_>,
    file: ReadFile<'_>,
) -> Result<ProviderBuilder<OpenAiChat>, Error> {
    let profile = builder.defaults();
    let name = profile.name.to_ascii_uppercase().replace('-', "_") + "_BASE_URL";
    let mut builder = azure_identity(builder, variable, file, profile.key_env, &[&name])?;
    if profile.name == "fireworks" {
        if let Some(account) = variable("FIREWORKS_ACCOUNT_ID")? {
            builder = builder.url_param("account", account);
        }
    }
    let url = UrlVariable {
        name: &name,
        url: &|url| with_path_of(url, profile.base_url),
    };
    read(builder, variable, &[profile.key_env], &[url])
}

fn openai_responses(
    builder: ProviderBuilder<OpenAiResponses>,
    variable: Lookup<'_>,
    file: ReadFile<'_>,
) -> Result<ProviderBuilder<OpenAiResponses>, Error> {
    let profile = builder.defaults();
    let prefix = profile
        .key_env
        .strip_suffix("_API_KEY")
        .unwrap_or("RESPONSES");
    let (base_url, endpoint) = (
        [prefix, "_BASE_URL"].concat(),
        [prefix, "_ENDPOINT"].concat(),
    );
    let urls = [&*base_url, &*endpoint];
    let builder = azure_identity(builder, variable, file, profile.key_env, &urls)?;
    let own = UrlVariable {
        name: &base_url,
        url: &|url| with_path_of(url, profile.base_url),
    };
    let endpoint = UrlVariable {
        name: &endpoint,
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
pub(super) fn url(name: &str) -> UrlVariable<'_> {
    UrlVariable {
        name,
        url: &str::to_owned,
    }
}

pub(super) fn bearer(token: String, name: &str) -> Result<Auth, Error> {
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
    use crate::{client::env::clouds::VertexSettings, provider::Provider};

    fn with<'v>(
        set: &'v [(&'v str, &'v str)],
    ) -> impl Fn(&str) -> Result<Option<String>, Error> + 'v {
        |name| {
            let found = set.iter().find(|(other, _)| *other == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        }
    }

    fn no_file(_: &str) -> Option<String> {
        None
    }

    fn source_of(auth: &Auth) -> &str {
        auth.fetched().unwrap().name()
    }

    #[test]
    fn without_a_key_the_source_counts_that_the_environment_names() {
        let file = |path: &str| match path {
            "/adc.json" => Some(r#"{"type":"service_account","project_id":"p1"}"#.to_owned()),
            _ => None,
        };
        let set = [("GOOGLE_APPLICATION_CREDENTIALS", "/adc.json")];
        let gemini = gemini_on_vertex(&with(&set), &file, None)
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(source_of(gemini.auth()), "google");
        let google = VertexSettings::find(&with(&set), &file, false).unwrap();
        assert_eq!(google.project, "p1");

        let set = [("AZURE_FEDERATED_TOKEN_FILE", "/token")];
        let profile = crate::provider::openai_chat::profiles::AZURE_V1;
        let builder = OpenAiChat::builder().profile(profile);
        let builder = builder.base_url("https://r.openai.azure.com/openai/v1");
        let azure = openai_chat(builder.clone(), &with(&set), &no_file).unwrap();
        assert_eq!(source_of(azure.build().unwrap().auth()), "azure");
        let own = [
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
            ("AZURE_OPENAI_API_KEY", "k"),
        ];
        let keyed = openai_chat(builder, &with(&own), &no_file)
            .unwrap()
            .build()
            .unwrap();
        assert!(keyed.auth().fetched().is_none());
        // No other provider gets a token of Azure.
        let other = OpenAiChat::builder().base_url("https://other.example/v1");
        let other = openai_chat(other, &with(&set), &no_file)
            .unwrap()
            .build()
            .unwrap();
        assert!(!other.auth().is_required());

        let mut set = vec![
            ("ANTHROPIC_FEDERATION_RULE_ID", "fdrl_example"),
            ("ANTHROPIC_ORGANIZATION_ID", "o"),
        ];
        let error = anthropic(Anthropic::builder(), &with(&set), &no_file).unwrap_err();
        assert!(
            error.message().contains("ANTHROPIC_IDENTITY_TOKEN_FILE"),
            "{error}"
        );
        set.push(("ANTHROPIC_IDENTITY_TOKEN_FILE", "/token"));
        let federated = anthropic(Anthropic::builder(), &with(&set), &no_file)
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(source_of(federated.auth()), "anthropic workload identity");
    }

    #[test]
    fn a_profile_of_anthropic_counts_by_its_place() {
        const LOGIN: &str =
            r#"{"authentication":{"type":"user_oauth"},"base_url":"https://eu.example"}"#;
        let source = |set: &[(&str, &str)], files: &[(&str, &str)]| {
            let mut variables = vec![("HOME", "/home/me")];
            variables.extend(set);
            let file = |path: &str| {
                let found = files.iter().find(|(other, _)| *other == path);
                found.map(|(_, text)| (*text).to_owned())
            };
            let builder = anthropic(Anthropic::builder(), &with(&variables), &file)?;
            let provider = builder.build()?;
            Ok::<_, Error>((
                source_of(provider.auth()).to_owned(),
                provider.base_url().as_str().to_owned(),
            ))
        };
        const DEFAULT: &str = "/home/me/.config/anthropic/configs/default.json";
        const DEV: &str = "/home/me/.config/anthropic/configs/dev.json";
        const ACTIVE: &str = "/home/me/.config/anthropic/active_config";
        let (name, url) = source(&[], &[(DEFAULT, LOGIN)]).unwrap();
        assert_eq!(
            (&*name, &*url),
            ("anthropic profile default", "https://eu.example/v1")
        );
        let active = [(DEFAULT, LOGIN), (DEV, LOGIN), (ACTIVE, "dev\n")];
        assert_eq!(source(&[], &active).unwrap().0, "anthropic profile dev");
        let federation = [
            ("ANTHROPIC_FEDERATION_RULE_ID", "fdrl_example"),
            ("ANTHROPIC_ORGANIZATION_ID", "o"),
            ("ANTHROPIC_IDENTITY_TOKEN_FILE", "/token"),
        ];
        let (name, _) = source(&federation, &active).unwrap();
        assert_eq!(name, "anthropic workload identity");
        let mut named = federation.to_vec();
        named.push(("ANTHROPIC_PROFILE", "default"));
        let (name, _) = source(&named, &active).unwrap();
        assert_eq!(name, "anthropic profile default");
        let elsewhere = [
            ("ANTHROPIC_CONFIG_DIR", "/etc/a"),
            ("ANTHROPIC_PROFILE", "ci"),
        ];
        let file = [("/etc/a/configs/ci.json", LOGIN)];
        assert_eq!(source(&elsewhere, &file).unwrap().0, "anthropic profile ci");
        // A profile that nothing names is passed over if it is wrong; others are errors.
        let error = source(&[], &[(DEFAULT, "{}")]).unwrap_err();
        assert_eq!(error.code(), Some("missing_key"));
        for (set, files, what) in [
            (
                vec![("ANTHROPIC_PROFILE", "no")],
                vec![],
                "configs/no.json does not exist",
            ),
            (
                vec![("ANTHROPIC_PROFILE", "../x")],
                vec![],
                "ANTHROPIC_PROFILE is `../x`",
            ),
            (
                vec![("ANTHROPIC_CONFIG_DIR", "/etc/a")],
                vec![],
                "/etc/a/configs/default.json",
            ),
            (
                vec![],
                vec![(ACTIVE, "dev")],
                "configs/dev.json does not exist",
            ),
            (
                vec![],
                vec![(ACTIVE, "dev"), (DEV, "{}")],
                "authentication.type",
            ),
        ] {
            let error = source(&set, &files).unwrap_err();
            assert!(error.message().contains(what), "{error}");
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
        let own = anthropic(Anthropic::builder(), &lookup, &no_file)
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(own.base_url().as_str(), "https://proxy.example/v1");
        let given = anthropic(
            Anthropic::builder().base_url("http://127.0.0.1:1/v1"),
            &lookup,
            &no_file,
        )
        .unwrap()
        .build()
        .unwrap();
        assert_eq!(given.base_url().as_str(), "http://127.0.0.1:1/v1");
        let azure = anthropic_on_azure(&lookup, &no_file, None)
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(
            azure.base_url().as_str(),
            "https://res.services.ai.azure.com/anthropic/v1"
        );
        let google = google(Gemini::builder(), &lookup).unwrap().build().unwrap();
        assert!(google.auth().is_required());
    }

    #[test]
    fn missing_settings_are_named() {
        let none = with(&[]);
        let cases = [
            (
                anthropic(Anthropic::builder(), &none, &no_file).unwrap_err(),
                "ANTHROPIC_API_KEY",
                Some("missing_key"),
            ),
            (
                google(Gemini::builder(), &none).unwrap_err(),
                "GEMINI_API_KEY",
                Some("missing_key"),
            ),
            (
                anthropic_on_azure(&none, &no_file, None).unwrap_err(),
                "ANTHROPIC_FOUNDRY_API_KEY",
                Some("missing_key"),
            ),
            (
                anthropic_on_azure(&with(&[("ANTHROPIC_FOUNDRY_API_KEY", "k")]), &no_file, None)
                    .unwrap_err(),
                "ANTHROPIC_FOUNDRY_RESOURCE",
                None,
            ),
            (
                gemini_on_vertex(&none, &no_file, None).unwrap_err(),
                "GOOGLE_OAUTH_ACCESS_TOKEN",
                Some("missing_key"),
            ),
        ];
        for (error, name, code) in cases {
            assert!(error.message().contains(name), "{error}");
            assert_eq!(error.code(), code);
        }
        assert!(
            anthropic(
                Anthropic::builder().base_url("http://127.0.0.1:1"),
                &none,
                &no_file
            )
            .unwrap()
            .build()
            .is_ok()
        );
        assert!(
            google(Gemini::builder().base_url("http://127.0.0.1:1"), &none)
                .unwrap()
                .build()
                .is_ok()
        );
        let google = VertexSettings::find(&none, &no_file, true).unwrap();
        assert_eq!(
            (google.project.as_str(), google.location.as_str()),
            ("local", "global")
        );
    }

    #[test]
    fn an_invalid_key_is_refused_with_its_variable_and_without_its_value() {
        let set = [("ANTHROPIC_API_KEY", "canary\n")];
        let error = anthropic(Anthropic::builder(), &with(&set), &no_file).unwrap_err();
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
                anthropic(Anthropic::builder(), &lookup, &no_file).unwrap_err(),
                "ANTHROPIC_BASE_URL",
            ),
            (
                google(Gemini::builder(), &lookup).unwrap_err(),
                "GEMINI_BASE_URL",
            ),
            (
                cohere(Cohere::builder(), &lookup).unwrap_err(),
                "CO_API_URL",
            ),
            (
                openai_chat(OpenAiChat::builder(), &lookup, &no_file).unwrap_err(),
                "OPENAI_BASE_URL",
            ),
            (
                openai_responses(OpenAiResponses::builder(), &lookup, &no_file).unwrap_err(),
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
        let groq = openai_chat(builder, &with(&set), &no_file)
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(groq.base_url().as_str(), "https://proxy.example/v1");
    }
}
