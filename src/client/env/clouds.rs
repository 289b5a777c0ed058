//! Providers behind Google Cloud and Azure: where they are, and as whom they are called.

use super::{
    Lookup, ReadFile, at, environment, first, invalid_variable,
    providers::{bearer, url},
    read,
};
use crate::{
    Error, ErrorKind,
    credentials::Environment,
    provider::{Anthropic, Auth, BuildProvider, Gemini, GeminiInteractions, ProviderBuilder},
};

pub(super) fn anthropic_on_azure(
    variable: Lookup<'_>,
    file: ReadFile<'_>,
    base_url: Option<&str>,
) -> Result<ProviderBuilder<Anthropic>, Error> {
    const KEY: &str = "ANTHROPIC_FOUNDRY_API_KEY";
    const URL: &str = "ANTHROPIC_FOUNDRY_BASE_URL";
    const RESOURCE: &str = "ANTHROPIC_FOUNDRY_RESOURCE";
    const NAME: &str = "azure-anthropic";
    // With a base URL the resource's name is unused.
    let elsewhere = Anthropic::builder().azure("resource")?;
    let builder = azure_identity(at(elsewhere, base_url), variable, file, KEY, &[URL])?;
    let mut builder = read(builder, variable, &[KEY], &[url(URL)])?;
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
    file: ReadFile<'_>,
    base_url: Option<&str>,
) -> Result<ProviderBuilder<Anthropic>, Error> {
    let google = VertexSettings::find(variable, file, base_url.is_some())?;
    let builder = Anthropic::builder().vertex(&google.project, &google.location)?;
    vertex(at(builder, base_url), variable, google.auth)
}

pub(super) fn gemini_on_vertex(
    variable: Lookup<'_>,
    file: ReadFile<'_>,
    base_url: Option<&str>,
) -> Result<ProviderBuilder<Gemini>, Error> {
    let google = VertexSettings::find(variable, file, base_url.is_some())?;
    let mut builder = Gemini::builder().vertex(&google.project, &google.location)?;
    // A name of this library.
    if let Some(folder) = variable("VERTEX_BATCH_GCS_URI")? {
        builder = builder.batch_folder(folder);
    }
    vertex(at(builder, base_url), variable, google.auth)
}

pub(super) fn gemini_interactions_on_vertex(
    variable: Lookup<'_>,
    file: ReadFile<'_>,
    base_url: Option<&str>,
) -> Result<ProviderBuilder<GeminiInteractions>, Error> {
    let google = VertexSettings::find(variable, file, base_url.is_some())?;
    let builder = GeminiInteractions::builder().vertex(&google.project, &google.location)?;
    vertex(at(builder, base_url), variable, google.auth)
}

const GOOGLE_TOKEN: &str = "GOOGLE_OAUTH_ACCESS_TOKEN";

/// Project, location and credentials for Vertex AI.
pub(super) struct VertexSettings {
    pub(super) project: String,
    pub(super) location: String,
    auth: Option<Auth>,
}

impl VertexSettings {
    pub(super) fn find(
        variable: Lookup<'_>,
        file: ReadFile<'_>,
        is_elsewhere: bool,
    ) -> Result<Self, Error> {
        const PROJECT: &str = "GOOGLE_CLOUD_PROJECT";
        let environment = environment(variable);
        let auth = match variable(GOOGLE_TOKEN)? {
            Some(token) => Some(bearer(token, GOOGLE_TOKEN)?),
            None if environment.has_google(file) => {
                Some(Auth::Bearer(environment.google_for_vertex().into()))
            }
            None => None,
        };
        let project = match environment.google_project(file) {
            Some(project) => project,
            // A server at a custom base URL has no Google Cloud projects, and a missing token is reported first.
            None if is_elsewhere || auth.is_none() => "local".to_owned(),
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
            auth,
        })
    }
}

const AZURE_KEYS: [&str; 2] = ["AZURE_OPENAI_API_KEY", "ANTHROPIC_FOUNDRY_API_KEY"];

/// Without a key of Azure: the identity that the environment names, for the service at the address that counts.
pub(super) fn azure_identity<P: BuildProvider>(
    builder: ProviderBuilder<P>,
    variable: Lookup<'_>,
    file: ReadFile<'_>,
    key: &str,
    urls: &[&str],
) -> Result<ProviderBuilder<P>, Error> {
    let environment = environment(variable);
    if !AZURE_KEYS.contains(&key)
        || builder.has_auth()
        || variable(key)?.is_some()
        || !environment.has_azure(file)
    {
        return Ok(builder);
    }
    let url = match builder.given_base_url() {
        Some(url) => url.to_owned(),
        None => match first(variable, urls)? {
            Some((_, url)) => url,
            None => builder.defaults().base_url.to_owned(),
        },
    };
    let (_, rest) = url.split_once("://").unwrap_or(("", &url));
    let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
    let credentials = environment.azure(Environment::azure_scope(host));
    Ok(builder.auth(Auth::Bearer(credentials.into())))
}

fn vertex<P: BuildProvider>(
    mut builder: ProviderBuilder<P>,
    variable: Lookup<'_>,
    auth: Option<Auth>,
) -> Result<ProviderBuilder<P>, Error> {
    if let Some(auth) = auth {
        builder = builder.auth(auth);
    }
    read(builder, variable, &[], &[])
}
