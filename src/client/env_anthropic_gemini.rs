//! Anthropic and Gemini with the settings that their makers' own programs share.

use super::env::{allows_insecure_http, invalid_variable, missing, variable};
use crate::{
    Error, ErrorKind, Secret,
    provider::{Anthropic, Auth, Gemini, anthropic::AnthropicBuilder, gemini::GeminiBuilder},
};

impl Anthropic {
    /// Anthropic with the key in `ANTHROPIC_API_KEY`, else the token in `ANTHROPIC_AUTH_TOKEN`, at `base_url`, else at
    /// `ANTHROPIC_BASE_URL`.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong. With `base_url` a missing key is none.
    pub fn from_env(base_url: Option<&str>) -> Result<Self, Error> {
        anthropic(&variable, base_url)?.build()
    }

    /// Claude on Azure, with the key in `ANTHROPIC_FOUNDRY_API_KEY` and the resource in `ANTHROPIC_FOUNDRY_RESOURCE`, or at
    /// `base_url`, else at `ANTHROPIC_FOUNDRY_BASE_URL`.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn azure_from_env(base_url: Option<&str>) -> Result<Self, Error> {
        anthropic_on_azure(&variable, base_url)?.build()
    }

    /// Claude on Vertex AI, with the token in `GOOGLE_OAUTH_ACCESS_TOKEN`, the project in `GOOGLE_CLOUD_PROJECT` and the
    /// location in `GOOGLE_CLOUD_LOCATION` (else `global`), or at `base_url`. A program that runs for longer than a token
    /// lives hands in a closure: [`Anthropic::vertex`].
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn vertex_from_env(base_url: Option<&str>) -> Result<Self, Error> {
        let google = VertexSettings::find(&variable, "vertex-anthropic", base_url.is_some())?;
        let mut builder = Anthropic::vertex(&google.project, &google.location)?.auth(google.auth);
        if allows_insecure_http(&variable)? {
            builder = builder.allow_insecure_http();
        }
        if let Some(url) = base_url {
            builder = builder.base_url(url);
        }
        builder.build()
    }
}

impl Gemini {
    /// Gemini with the key in `GEMINI_API_KEY`, else `GOOGLE_API_KEY`, at `base_url`, else at `GEMINI_BASE_URL`.
    ///
    /// # Errors
    /// `invalid_request` that names the variable that is missing or wrong. With `base_url` a missing key is none.
    pub fn from_env(base_url: Option<&str>) -> Result<Self, Error> {
        gemini(&variable, base_url)?.build()
    }

    /// Gemini on Vertex AI, with the token in `GOOGLE_OAUTH_ACCESS_TOKEN`, the project in `GOOGLE_CLOUD_PROJECT` and the
    /// location in `GOOGLE_CLOUD_LOCATION` (else `global`), or at `base_url`. A program that runs for longer than a token
    /// lives hands in a closure: [`Gemini::vertex`].
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn vertex_from_env(base_url: Option<&str>) -> Result<Self, Error> {
        let google = VertexSettings::find(&variable, "vertex", base_url.is_some())?;
        let mut builder = Gemini::vertex(&google.project, &google.location)?.auth(google.auth);
        if allows_insecure_http(&variable)? {
            builder = builder.allow_insecure_http();
        }
        if let Some(url) = base_url {
            builder = builder.base_url(url);
        }
        builder.build()
    }
}

type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>, Error>;

fn anthropic(variable: Lookup<'_>, base_url: Option<&str>) -> Result<AnthropicBuilder, Error> {
    const KEY: &str = "ANTHROPIC_API_KEY";
    const TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
    let mut builder = Anthropic::builder();
    if allows_insecure_http(variable)? {
        builder = builder.allow_insecure_http();
    }
    if let Some(key) = variable(KEY)? {
        builder = builder
            .api_key(key)
            .map_err(|error| invalid_variable(&error, KEY))?;
    } else if let Some(token) = variable(TOKEN)? {
        builder = builder.auth(bearer(token, TOKEN)?);
    } else if base_url.is_none() {
        return Err(missing("anthropic", KEY));
    }
    Ok(match address(variable, base_url, "ANTHROPIC_BASE_URL")? {
        Some(url) => builder.base_url(url),
        None => builder,
    })
}

fn anthropic_on_azure(
    variable: Lookup<'_>,
    base_url: Option<&str>,
) -> Result<AnthropicBuilder, Error> {
    const KEY: &str = "ANTHROPIC_FOUNDRY_API_KEY";
    const RESOURCE: &str = "ANTHROPIC_FOUNDRY_RESOURCE";
    const NAME: &str = "azure-anthropic";
    let key = variable(KEY)?;
    if key.is_none() && base_url.is_none() {
        return Err(missing(NAME, KEY));
    }
    let mut builder = match address(variable, base_url, "ANTHROPIC_FOUNDRY_BASE_URL")? {
        Some(url) => Anthropic::builder().name(NAME).base_url(url),
        None => match variable(RESOURCE)? {
            Some(name) => {
                Anthropic::azure(&name).map_err(|error| invalid_variable(&error, RESOURCE))?
            }
            None => {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!("`{NAME}` needs a resource: set {RESOURCE}"),
                ));
            }
        },
    };
    if allows_insecure_http(variable)? {
        builder = builder.allow_insecure_http();
    }
    if let Some(key) = key {
        builder = builder
            .api_key(key)
            .map_err(|error| invalid_variable(&error, KEY))?;
    }
    Ok(builder)
}

fn gemini(variable: Lookup<'_>, base_url: Option<&str>) -> Result<GeminiBuilder, Error> {
    const KEYS: [&str; 2] = ["GEMINI_API_KEY", "GOOGLE_API_KEY"];
    let mut builder = Gemini::builder();
    if allows_insecure_http(variable)? {
        builder = builder.allow_insecure_http();
    }
    let mut found = false;
    for name in KEYS {
        if let Some(key) = variable(name)?.filter(|_| !found) {
            builder = builder
                .api_key(key)
                .map_err(|error| invalid_variable(&error, name))?;
            found = true;
        }
    }
    if !found && base_url.is_none() {
        return Err(missing("gemini", KEYS[0]));
    }
    Ok(match address(variable, base_url, "GEMINI_BASE_URL")? {
        Some(url) => builder.base_url(url),
        None => builder,
    })
}

fn address(
    variable: Lookup<'_>,
    base_url: Option<&str>,
    name: &str,
) -> Result<Option<String>, Error> {
    match base_url {
        Some(url) => Ok(Some(url.to_owned())),
        None => variable(name),
    }
}

/// Where in Google Cloud, and as whom.
struct VertexSettings {
    project: String,
    location: String,
    auth: Auth,
}

impl VertexSettings {
    fn find(variable: Lookup<'_>, name: &str, is_elsewhere: bool) -> Result<Self, Error> {
        const TOKEN: &str = "GOOGLE_OAUTH_ACCESS_TOKEN";
        const PROJECT: &str = "GOOGLE_CLOUD_PROJECT";
        let auth = match variable(TOKEN)? {
            Some(token) => bearer(token, TOKEN)?,
            None if is_elsewhere => Auth::None,
            None => return Err(missing(name, TOKEN)),
        };
        let project = match variable(PROJECT)? {
            Some(project) => project,
            // A server of one's own has no projects.
            None if is_elsewhere => "local".to_owned(),
            None => {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!("`{name}` needs a project: set {PROJECT}"),
                ));
            }
        };
        let location = variable("GOOGLE_CLOUD_LOCATION")?;
        Ok(VertexSettings {
            project,
            location: location.unwrap_or_else(|| "global".to_owned()),
            auth,
        })
    }
}

fn bearer(token: String, name: &str) -> Result<Auth, Error> {
    let secret = Secret::new(token).map_err(|error| invalid_variable(&error, name))?;
    Ok(Auth::Bearer(secret.into()))
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
    fn keys_and_addresses_come_from_the_usual_variables() {
        let set = [
            ("ANTHROPIC_API_KEY", "k"),
            ("ANTHROPIC_BASE_URL", "https://proxy.example"),
            ("GOOGLE_API_KEY", "g"),
            ("ANTHROPIC_FOUNDRY_API_KEY", "f"),
            ("ANTHROPIC_FOUNDRY_RESOURCE", "res"),
        ];
        let lookup = with(&set);
        let own = anthropic(&lookup, None).unwrap().build().unwrap();
        assert_eq!(own.base_url().as_str(), "https://proxy.example/v1");
        let given = anthropic(&lookup, Some("http://127.0.0.1:1/v1"))
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(given.base_url().as_str(), "http://127.0.0.1:1/v1");
        let azure = anthropic_on_azure(&lookup, None).unwrap().build().unwrap();
        assert_eq!(
            azure.base_url().as_str(),
            "https://res.services.ai.azure.com/anthropic/v1"
        );
        let google = gemini(&lookup, None).unwrap().build().unwrap();
        assert!(google.auth().is_required());
    }

    #[test]
    fn missing_settings_are_named() {
        let none = with(&[]);
        let cases = [
            (
                anthropic(&none, None).unwrap_err(),
                "ANTHROPIC_API_KEY",
                Some("missing_key"),
            ),
            (
                gemini(&none, None).unwrap_err(),
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
                VertexSettings::find(&none, "vertex", false).err().unwrap(),
                "GOOGLE_OAUTH_ACCESS_TOKEN",
                Some("missing_key"),
            ),
        ];
        for (error, name, code) in cases {
            assert!(error.message().contains(name), "{error}");
            assert_eq!(error.code(), code);
        }
        assert!(
            anthropic(&none, Some("http://127.0.0.1:1"))
                .unwrap()
                .build()
                .is_ok()
        );
        assert!(
            gemini(&none, Some("http://127.0.0.1:1"))
                .unwrap()
                .build()
                .is_ok()
        );
        let google = VertexSettings::find(&none, "vertex", true).unwrap();
        assert_eq!(
            (google.project.as_str(), google.location.as_str()),
            ("local", "global")
        );
    }

    #[test]
    fn a_bad_key_is_refused_by_its_variable_and_not_shown() {
        let set = [("ANTHROPIC_API_KEY", "canary\n")];
        let error = anthropic(&with(&set), None).unwrap_err();
        assert!(error.message().contains("ANTHROPIC_API_KEY"), "{error}");
        assert!(!error.message().contains("canary"), "{error}");
    }
}
