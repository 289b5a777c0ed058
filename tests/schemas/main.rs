//! Schemas of Rust types and schemas written by hand, in the dialect of each server.

#![cfg(feature = "schemars")]
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop, and only the types' schemas are of interest"
)]

mod by_hand;
mod servers;

use schemars::JsonSchema as Derive;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU8,
    sync::Arc,
};
use unifiedai::{
    ChatRequest, Client, ErrorKind, Json, JsonSchema, ResponseFormat, Tool,
    provider::{
        Anthropic, Bedrock, Cohere, Gemini, Ollama, OpenAiChat, OpenAiResponses, Provider,
        openai_chat::{ChatProfile, profiles},
    },
    schema::{Dialect, adapt},
};

#[derive(Derive)]
struct Plain {
    name: String,
    done: bool,
    score: f64,
}
#[derive(Derive)]
struct Of<T> {
    it: T,
}
#[derive(Derive)]
struct Small {
    a: u8,
    b: i32,
    c: usize,
}
#[derive(Derive)]
struct Nested {
    /// A nested object.
    inside: Plain,
    again: Plain,
}
#[derive(Derive)]
enum Unit {
    Celsius,
    Fahrenheit,
}
#[derive(Derive)]
enum Documented {
    /// Water freezes at 0.
    Celsius,
    /// Water freezes at 32.
    Fahrenheit,
    Kelvin,
}
#[derive(Derive)]
enum Data {
    Empty,
    One(String),
    Two { a: bool, b: String },
}
#[derive(Derive)]
#[serde(tag = "kind")]
enum Tagged {
    Mail { address: String },
    Phone { number: String },
}
#[derive(Derive)]
#[serde(tag = "kind", content = "value")]
enum Adjacent {
    Text(String),
    Flag(bool),
}
#[derive(Derive)]
#[serde(untagged)]
enum Untagged {
    Text(String),
    Flag(bool),
}
#[derive(Derive, Serialize, Deserialize, Default)]
struct Defaulted {
    #[serde(default)]
    name: String,
    #[serde(default)]
    count: Option<bool>,
}
#[derive(Derive)]
struct Tree {
    name: String,
    children: Vec<Tree>,
}
#[derive(Derive)]
struct Chain {
    name: String,
    next: Option<Box<Chain>>,
}
#[derive(Derive)]
struct Forest {
    first: Tree,
}
#[derive(Derive)]
struct Pair(String, bool);
#[derive(Derive)]
struct Newtype(String);
#[derive(Derive)]
struct Nothing {}
#[derive(Derive)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Renamed {
    long_name: String,
    #[serde(rename = "a/b~c")]
    odd: bool,
}
#[derive(Derive)]
struct Flat {
    #[serde(flatten)]
    plain: Plain,
    more: String,
}
#[derive(Derive)]
struct Ranged {
    #[schemars(range(min = 1, max = 5))]
    stars: u8,
}
#[derive(Derive)]
struct Lengthy {
    #[schemars(length(min = 1, max = 10))]
    name: String,
}
#[derive(Derive)]
struct Matching {
    #[schemars(regex(pattern = r"^[a-z]+$"))]
    name: String,
}
#[derive(Derive)]
struct Mail {
    #[schemars(email)]
    address: String,
}

/// The 40 types, and how their schemas are sent to OpenAI, Cerebras, Groq, Anthropic, Bedrock, Gemini, xAI, Ollama,
/// Mistral, Cohere and llama.cpp: `=` unchanged, `~` with the same set of valid values, `?` only with another set of
/// valid values, and only with `drop_unsupported`, `!` not at all.
#[rustfmt::skip]
fn types() -> Vec<(&'static str, JsonSchema, &'static str)> {
    macro_rules! table {
        ($($Type:ty: $expected:literal,)*) => {
            vec![$((stringify!($Type), JsonSchema::of::<$Type>().unwrap(), $expected),)*]
        };
    }
    table! {
        Plain: "=~=~~====~=",
        Small: "=~=~~====~=",
        Nested: "=~=~~====~=",
        Nothing: "~~~======!=",
        Renamed: "===========",
        Flat: "=~=~~====~=",
        Of<String>: "===========",
        Of<Option<String>>: "=~=======~=",
        Of<Option<u8>>: "=~=~~====~=",
        Of<Option<Plain>>: "=~=~~====~=",
        Of<Option<Unit>>: "=~=======~=",
        Of<Option<Documented>>: "~~~~~===~~=",
        Of<Unit>: "===========",
        Of<Documented>: "~~~~~===~~=",
        Of<Data>: "~~~~~===~~=",
        Of<Tagged>: "~~~~~===~~=",
        Of<Adjacent>: "~~~~~===~~=",
        Of<Untagged>: "===========",
        Of<Vec<Data>>: "~~~~~===~~=",
        Of<Vec<Option<Documented>>>: "~~~~~===~~=",
        Of<Vec<u8>>: "=~=~~====~=",
        Of<[bool; 3]>: "=?=??=?==?=",
        Of<BTreeSet<String>>: "?????====?=",
        Of<BTreeMap<String, bool>>: "!!!!!===!!=",
        Of<HashMap<String, Plain>>: "!!!!!===!!=",
        Of<Value>: "!!!!!======",
        Of<Vec<Value>>: "!!!!!======",
        Of<char>: "?????=?==?=",
        Of<NonZeroU8>: "=~=??====?=",
        Of<Ipv4Addr>: "=~=======~=",
        Of<IpAddr>: "=~=~~====~=",
        Of<Pair>: "?????=?==?=",
        Of<Newtype>: "===========",
        Defaulted: "~~~======~=",
        Tree: "=!=!!==~==~",
        Forest: "=!=!!======",
        Chain: "=!=!!==~==~",
        Ranged: "=~=??====?=",
        Lengthy: "?????=?==?=",
        Matching: "=?=======~=",
    }
}

fn chat(profile: ChatProfile) -> Arc<dyn Provider> {
    let builder = OpenAiChat::builder().profile(profile).api_key("k").unwrap();
    Arc::new(builder.build().unwrap())
}

/// Name, provider, and the path of the response schema.
fn servers() -> Vec<(&'static str, Arc<dyn Provider>, &'static str)> {
    let in_chat = "/response_format/json_schema/schema";
    let bedrock = Bedrock::builder().region("us-east-1").api_key("k").unwrap();
    vec![
        (
            "openai",
            Arc::new(OpenAiResponses::new("k").unwrap()),
            "/text/format/schema",
        ),
        ("cerebras", chat(profiles::CEREBRAS), in_chat),
        ("groq", chat(profiles::GROQ), in_chat),
        (
            "anthropic",
            Arc::new(Anthropic::new("k").unwrap()),
            "/output_config/format/schema",
        ),
        (
            "bedrock",
            Arc::new(bedrock.build().unwrap()),
            "/outputConfig/textFormat/structure/jsonSchema/schema",
        ),
        (
            "gemini",
            Arc::new(Gemini::new("k").unwrap()),
            "/generationConfig/responseJsonSchema",
        ),
        ("xai", chat(profiles::XAI), in_chat),
        ("ollama", Arc::new(Ollama::local().unwrap()), "/format"),
        ("mistral", chat(profiles::MISTRAL), in_chat),
        (
            "cohere",
            Arc::new(Cohere::new("k").unwrap()),
            "/response_format/json_schema",
        ),
        ("llama-cpp", chat(profiles::LLAMA_CPP), in_chat),
    ]
}

/// The schema that is sent, and the warnings.
fn sent(
    provider: &Arc<dyn Provider>,
    place: &str,
    request: &ChatRequest,
) -> Result<(Value, usize), unifiedai::Error> {
    let encoded = provider.encode_chat(request)?;
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    let schema = body
        .pointer(place)
        .unwrap_or_else(|| panic!("{place} in {body}"));
    // Bedrock has it as a string.
    let schema = match schema {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        schema => schema.clone(),
    };
    let altered = encoded
        .warnings
        .iter()
        .filter(|warning| warning.code == "schema_altered");
    Ok((schema, altered.count()))
}

#[test]
fn forty_types_at_eleven_servers() {
    let types = types();
    assert_eq!(types.len(), 40);
    let mut table = Vec::new();
    for (name, schema, expected) in &types {
        let own: Value = schema.schema.decode().unwrap();
        let mut row = String::new();
        for (service, provider, place) in servers() {
            let request = ChatRequest::new("m")
                .user("hi")
                .response_format(ResponseFormat::JsonSchema(schema.clone()));
            let found = sent(&provider, place, &request);
            row.push(match &found {
                Ok((sent, warnings)) => {
                    assert_eq!(*warnings, 0, "{name} at {service}");
                    assert_eq!(
                        unifiedai_loopback::schema_refusal(service, sent),
                        None,
                        "{name} at {service}: {sent}"
                    );
                    if *sent == own { '=' } else { '~' }
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
                    assert!(
                        error.message().contains("at `/") || error.message().contains("at ``"),
                        "{error}"
                    );
                    match sent(&provider, place, &request.clone().drop_unsupported()) {
                        Ok((sent, warnings)) => {
                            assert!(warnings > 0, "{name} at {service}");
                            let refusal = unifiedai_loopback::schema_refusal(service, &sent);
                            if refusal.is_none() { '?' } else { '!' }
                        }
                        Err(_) => '!',
                    }
                }
            });
        }
        if row != *expected {
            table.push(format!("        {name}: {row:?}, // {expected:?}, {own}"));
        }
    }
    assert!(table.is_empty(), "{}", table.join("\n"));
}

fn by_hand(schema: Value, dialect: &Dialect) -> Result<(Value, Vec<(String, bool)>), String> {
    let adapted =
        adapt(&Json::new(&schema).unwrap(), dialect).map_err(|error| error.to_string())?;
    let lost = adapted
        .changes
        .into_iter()
        .map(|lost| (lost.path, lost.changes_meaning));
    Ok((adapted.schema.decode().unwrap(), lost.collect()))
}

/// An object with one required property.
fn with(member: Value) -> Value {
    json!({"type": "object", "properties": {"a": member}, "required": ["a"], "additionalProperties": false})
}
