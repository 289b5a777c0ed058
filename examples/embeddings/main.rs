//! Which text means most like another: vectors, and the angles between them.
//!
//! ```text
//! cargo run --example embeddings -- "How fast is it?"
//! ```
#![allow(clippy::print_stdout, reason = "a program")]

#[path = "../common/mod.rs"]
mod common;

use common::Question;
use unifiedai::{AsyncClient, EmbedRequest, Error, transport::HyperTransport};

const HELP: &str = "\
Orders three texts by how much they mean what QUERY means. The model is text-embedding-3-small by default.

Usage: embeddings [OPTIONS] [QUERY]";

const TEXTS: [&str; 3] = [
    "The first token came after 40 milliseconds.",
    "Bread needs flour, water, salt and time.",
    "A transport sends one request and reads its response.",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    common::finish(run().await)
}

async fn run() -> Result<(), Error> {
    let Some(question) = Question::parse(HELP, "openai")? else {
        return Ok(());
    };
    let (provider, _server) = question.provider()?;
    let client = AsyncClient::shared(HyperTransport::new(), provider);
    let model = question
        .model
        .as_deref()
        .unwrap_or("text-embedding-3-small");

    let request = EmbedRequest::new(model)
        .text(question.text("How fast is it?"))
        .texts(TEXTS);
    // One vector for each text, in the order of the texts.
    let response = client.embed(request).await?;
    let Some((query, texts)) = response.embeddings.split_first() else {
        return Ok(());
    };
    let mut ranked: Vec<(f32, &str)> = texts
        .iter()
        .zip(TEXTS)
        .map(|(vector, text)| (cosine(query, vector), text))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (similarity, text) in ranked {
        println!("{similarity:.3}  {text}");
    }
    Ok(())
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
