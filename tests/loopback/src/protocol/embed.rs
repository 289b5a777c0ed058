//! Vectors, in the format of each API that has them.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{list, strings, text_of};
use crate::fault::split_mix;
use crate::response;

/// The API of the request and the response.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    OpenAi,
    Cohere,
    Gemini,
    Ollama,
    Titan,
}

/// The response to a request for vectors, or the problem of the request.
pub(crate) fn answer(shape: Shape, model: &str, body: &Value) -> Result<Value, String> {
    let texts = shape.texts(body);
    if texts.is_empty() {
        return Err("There is no text to embed.".to_owned());
    }
    let format = text_of(body, "encoding_format");
    let is_base64 = format == "base64" && matches!(shape, Shape::OpenAi);
    if !is_base64 && !["", "float"].contains(&format) {
        return Err(
            "encoding_format: only float, and base64 in OpenAI's format, are known here".to_owned(),
        );
    }
    let dimensions = shape.dimensions(body).unwrap_or(4).clamp(1, 4096);
    let tokens: usize = texts.iter().map(|text| response::count(text)).sum();
    let vectors: Vec<Vec<f64>> = texts.iter().map(|text| vector(text, dimensions)).collect();
    Ok(match shape {
        Shape::OpenAi => {
            let one = |(index, vector): (usize, &Vec<f64>)| {
                let vector = match is_base64 {
                    true => in_base64(vector).into(),
                    false => json!(vector),
                };
                json!({"object": "embedding", "index": index, "embedding": vector})
            };
            let data: Vec<Value> = vectors.iter().enumerate().map(one).collect();
            json!({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
        }
        Shape::Cohere => json!({
            "id": "loopback", "response_type": "embeddings_by_type", "embeddings": {"float": vectors}, "texts": texts,
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}},
        }),
        Shape::Gemini => {
            let all: Vec<Value> = vectors
                .iter()
                .map(|vector| json!({"values": vector}))
                .collect();
            json!({ "embeddings": all })
        }
        Shape::Ollama => json!({
            "model": model, "embeddings": vectors, "total_duration": 14_143_917, "load_duration": 1_019_500,
            "prompt_eval_count": tokens,
        }),
        Shape::Titan => json!({"embedding": vectors.first(), "inputTextTokenCount": tokens}),
    })
}

/// The bytes of little-endian 32-bit numbers, as OpenAI sends them.
fn in_base64(vector: &[f64]) -> String {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|number| (*number as f32).to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

impl Shape {
    fn texts(self, body: &Value) -> Vec<String> {
        match self {
            Shape::OpenAi | Shape::Ollama => strings(body.get("input")),
            Shape::Cohere => strings(body.get("texts")),
            Shape::Titan => strings(body.get("inputText")),
            Shape::Gemini => {
                let one = |request: &Value| {
                    Some(
                        request
                            .pointer("/content/parts/0/text")?
                            .as_str()?
                            .to_owned(),
                    )
                };
                list(body, "requests").iter().filter_map(one).collect()
            }
        }
    }

    fn dimensions(self, body: &Value) -> Option<u64> {
        let place = match self {
            Shape::OpenAi | Shape::Ollama | Shape::Titan => "/dimensions",
            Shape::Cohere => "/output_dimension",
            Shape::Gemini => "/requests/0/outputDimensionality",
        };
        body.pointer(place)?.as_u64()
    }
}

/// Numbers from -1 to 1 that depend only on the text.
fn vector(text: &str, dimensions: u64) -> Vec<f64> {
    let mut seed = text
        .bytes()
        .fold(7_u64, |seed, byte| seed.wrapping_mul(31) ^ u64::from(byte));
    (0..dimensions)
        .map(|_| (split_mix(&mut seed) % 2049) as f64 / 1024.0 - 1.0)
        .collect()
}
