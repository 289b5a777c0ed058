//! Recorded exchanges, if a checkout of them exists.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// One recorded exchange.
pub struct Recording {
    /// `provider/name`.
    pub id: String,
    pub provider: String,
    pub operation: String,
    pub streaming: bool,
    /// How exactly it preserves the bytes.
    pub fidelity: String,
    /// The request's body; null if it was not recorded.
    pub request: Value,
    pub url: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Recording {
    /// The model, as far as decoding depends on it.
    pub fn model(&self) -> &str {
        self.request["model"].as_str().unwrap_or("recorded-model")
    }

    /// The number of requested choices.
    pub fn n(&self) -> u32 {
        self.request["n"]
            .as_u64()
            .map_or(1, |n| u32::try_from(n).unwrap())
    }
}

/// The folder of the recordings.
pub fn folder() -> PathBuf {
    std::env::var_os("UNIFIEDAI_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    )
}

/// The folder of the recordings of the APIs of 2026.
pub fn folder_of_2026() -> PathBuf {
    std::env::var_os("UNIFIEDAI_RECORDINGS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings/wires"),
        PathBuf::from,
    )
}

/// The recordings of a dialect, of one provider or of all, sorted by id. If there are none, prints a message.
pub fn load(dialect: &str, provider: Option<&str>) -> Vec<Recording> {
    let folder = match dialect {
        "gemini-interactions" => folder_of_2026(),
        _ => folder(),
    };
    load_from(&folder, dialect, provider)
}

/// [`load`] from another folder.
pub fn load_from(folder: &Path, dialect: &str, provider: Option<&str>) -> Vec<Recording> {
    let mut recordings = Vec::new();
    let mut providers: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    providers.sort();
    for path in providers {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if provider.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let mut files: Vec<_> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let json: Value = serde_json::from_str(&text).unwrap();
            if json["dialect"] == dialect {
                recordings.push(read(&json));
            }
        }
    }
    if recordings.is_empty() {
        println!(
            "skipped: no recordings of {dialect} in {}",
            folder.display()
        );
    }
    recordings
}

fn read(json: &Value) -> Recording {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let bytes = |side: &Value| match side["body_base64"].as_str() {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => text(&side["body"]).into_bytes(),
    };
    let headers = json["response"]["headers"]
        .as_object()
        .into_iter()
        .flatten();
    Recording {
        id: text(&json["id"]),
        provider: text(&json["provider"]),
        operation: text(&json["operation"]),
        streaming: json["streaming"] == true,
        fidelity: text(&json["fidelity"]),
        request: serde_json::from_slice(&bytes(&json["request"])).unwrap_or_default(),
        url: text(&json["request"]["url"]),
        status: u16::try_from(json["response"]["status"].as_u64().unwrap()).unwrap(),
        headers: headers
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        body: bytes(&json["response"]),
    }
}
