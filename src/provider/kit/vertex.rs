//! URLs of Google Cloud's Vertex AI.

use crate::{
    Error, ErrorKind,
    codec::percent::{SEGMENT, encode_into},
    provider::ProviderDefaults,
};
use percent_encoding::AsciiSet;

/// The defaults of a provider with this name on Vertex AI. Its URL depends on project and location.
pub(crate) fn defaults(name: &'static str) -> ProviderDefaults {
    let mut defaults = ProviderDefaults::new(name, "", "GOOGLE_OAUTH_ACCESS_TOKEN");
    defaults.credential = ("a token", "pass one with `auth`");
    defaults
}

/// A project and location on Vertex AI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vertex {
    project: String,
    location: String,
}

impl Vertex {
    /// The location becomes part of a host name, so both are limited to the characters that Google allows.
    pub(crate) fn new(project: &str, location: &str) -> Result<Self, Error> {
        let is_plain = |text: &str, more: &[u8]| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || more.contains(&b))
        };
        // A domain-scoped project has the name `example.com:project`.
        if !is_plain(project, b"_.:") || project.starts_with('.') {
            return Err(invalid("a project", project));
        }
        if !is_plain(location, b"") {
            return Err(invalid("a location", location));
        }
        Ok(Vertex {
            project: project.to_owned(),
            location: location.to_owned(),
        })
    }

    /// The base URL of the stable version.
    pub(crate) fn base_url(&self) -> String {
        self.base_url_of("v1")
    }

    /// The base URL of a version. The location `global` has a host without prefix.
    pub(crate) fn base_url_of(&self, version: &str) -> String {
        match self.location.as_str() {
            "global" => format!("https://aiplatform.googleapis.com/{version}"),
            location => format!("https://{location}-aiplatform.googleapis.com/{version}"),
        }
    }

    /// The path of the project's resources in the location, such as batches.
    pub(crate) fn resources(&self) -> String {
        format!("/projects/{}/locations/{}", self.project, self.location)
    }

    /// The path of a publisher's model, or of a resource in the project (`endpoints/..`).
    pub(crate) fn model_path(&self, publisher: &str, model: &str) -> Result<String, Error> {
        let model = match model {
            model if model.starts_with("publishers/") || model.starts_with("endpoints/") => {
                model_segments(model)?
            }
            model => {
                let model = model.strip_prefix("models/").unwrap_or(model);
                ["publishers/", publisher, "/models/", &segment(model)?].concat()
            }
        };
        Ok([&self.resources(), "/", &model].concat())
    }
}

/// The encoded segments of a model name that is a path (`tunedModels/x`).
pub(crate) fn model_segments(path: &str) -> Result<String, Error> {
    let segments: Result<Vec<String>, Error> = path.split('/').map(segment).collect();
    Ok(segments?.join("/"))
}

/// One segment. `@` occurs in model ids with a date and is not encoded.
fn segment(text: &str) -> Result<String, Error> {
    let mut encoded = Vec::with_capacity(text.len());
    const MODEL: &AsciiSet = &SEGMENT.remove(b'@');
    encode_into(text.as_bytes(), MODEL, &mut encoded);
    match (text, String::from_utf8(encoded)) {
        ("" | "." | "..", _) | (_, Err(_)) => Err(invalid("a model's id", text)),
        (_, Ok(encoded)) => Ok(encoded),
    }
}

fn invalid(what: &str, text: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!("`{}` is not {what}", text.escape_debug()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_path_follow_project_location_and_model() {
        let cases = [
            (
                "global",
                "gemini-2.5-flash",
                "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash",
            ),
            (
                "us-east5",
                "claude@20250514",
                "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/google/models/claude@20250514",
            ),
            (
                "us-east5",
                "endpoints/7",
                "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/endpoints/7",
            ),
            (
                "us-east5",
                "a?b",
                "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/google/models/a%3Fb",
            ),
        ];
        for (location, model, url) in cases {
            let vertex = Vertex::new("p", location).unwrap();
            assert_eq!(
                vertex.base_url() + &vertex.model_path("google", model).unwrap(),
                url
            );
        }
    }

    #[test]
    fn path_escapes_are_refused() {
        for (project, location) in [
            ("p", "evil.example/"),
            ("p", "a.b"),
            ("p", ""),
            ("", "us"),
            ("..", "us"),
            ("a/b", "us"),
            ("a?b", "us"),
        ] {
            assert!(
                Vertex::new(project, location).is_err(),
                "{project} {location}"
            );
        }
        let vertex = Vertex::new("example.com:p", "us").unwrap();
        for model in ["", "..", "endpoints/../x", "publishers//x"] {
            assert!(vertex.model_path("google", model).is_err(), "{model}");
        }
    }
}
