//! Recorded token counts, cached contents and compactions, if a checkout of them exists: whole, byte by byte, and cut.

use super::support::{corpus, drive};
use drive::{Answer, Arrival};
use serde_json::{Value, json};
use std::{fs, path::Path, sync::Arc, time::Duration};
use unifiedai::{
    ChatRequest, Error, Secret,
    cache::{CacheExpiry, NewCachedContent},
    provider::{Anthropic, ApiRequest, Auth, Bedrock, Gemini, OpenAiResponses, Provider},
    sans_io::Exchange,
};

fn provider(recording: &Value) -> Arc<dyn Provider> {
    let is_vertex = recording["provider"] == "vertex";
    match recording["dialect"].as_str().unwrap() {
        "anthropic-messages" => Arc::new(Anthropic::new("k").unwrap()),
        "openai-responses" => Arc::new(OpenAiResponses::new("k").unwrap()),
        "gemini" if is_vertex => {
            let token = Auth::Bearer(Secret::new("t").unwrap().into());
            let builder = Gemini::builder().vertex("p", "l").unwrap();
            Arc::new(builder.auth(token).build().unwrap())
        }
        "gemini" => Arc::new(Gemini::new("k").unwrap()),
        "bedrock-converse" | "bedrock-invoke" => Arc::new(Bedrock::new("us-east-1", "k").unwrap()),
        other => panic!("no provider for {other}"),
    }
}

/// The answer as JSON of this test's own form.
fn decode(recording: &Value, answer: &Answer, arrival: Arrival) -> Result<Value, Error> {
    let provider = provider(recording);
    let request = ChatRequest::new("m").user("x");
    let contents = || provider.cached_contents().unwrap();
    let show =
        |content: unifiedai::cache::CachedContent| json!([content.name, content.expire_time]);
    let ask = |api: ApiRequest<Value>| {
        let exchange = Exchange::api_call(provider.clone(), api, drive::options(), drive::start());
        drive::run(exchange, answer, arrival)
            .result
            .map(|response| response.answer)
    };
    let life = CacheExpiry::Ttl(Duration::from_secs(1));
    match recording["operation"].as_str().unwrap() {
        "count-tokens" => ask(provider
            .count_tokens(&request)?
            .map(|count| json!([count.tokens, count.exact]))),
        "compact" => ask(provider
            .compact(&request)?
            .map(|compacted| json!(compacted.messages.len()))),
        "cached-contents-create" => ask(contents()
            .create(&NewCachedContent::new(request))?
            .map(show)),
        "cached-contents-get" => ask(contents().get("c")?.map(show)),
        "cached-contents-patch" => ask(contents().renew("c", &life)?.map(show)),
        "cached-contents-delete" => ask(contents().delete("c")?.map(|()| json!({}))),
        "cached-contents-list" => ask(contents().list(None)?.map(|page| {
            let names = page.contents.into_iter().map(|content| content.name);
            json!(names.collect::<Vec<_>>())
        })),
        other => panic!("no call for {other}"),
    }
}

/// What the recorded body says.
fn expected(operation: &str, body: &Value) -> Value {
    let names = ["input_tokens", "totalTokens", "inputTokens"];
    match operation {
        "count-tokens" => {
            let tokens = names.iter().find_map(|name| body.get(*name));
            json!([tokens.unwrap(), true])
        }
        "compact" => json!(body["output"].as_array().unwrap().len()),
        "cached-contents-delete" => json!({}),
        "cached-contents-list" => match body["cachedContents"].as_array() {
            Some(list) => list.iter().map(|content| content["name"].clone()).collect(),
            None => json!([]),
        },
        _ => json!([body["name"], body["expireTime"]]),
    }
}

fn check(recording: &Value) {
    let operation = recording["operation"].as_str().unwrap();
    let response = &recording["response"];
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    let body = response["body"].as_str().unwrap_or_default();
    let answer = Answer::new(status, "application/json", body.to_owned());
    let id = &recording["id"];
    for arrival in [Arrival::Whole, Arrival::Pieces(1)] {
        match decode(recording, &answer, arrival) {
            Ok(found) => {
                let json = serde_json::from_str(body).unwrap();
                assert_eq!(found, expected(operation, &json), "{id}");
            }
            Err(error) => assert_eq!(
                error.status().filter(|s| *s >= 400),
                Some(status),
                "{id}: {error}"
            ),
        }
    }
    if status >= 400 {
        return;
    }
    let whole = decode(recording, &answer, Arrival::Whole).unwrap();
    for at in 0..body.len().min(2000) {
        if let Ok(found) = decode(recording, &answer, Arrival::Cut(at)) {
            assert_eq!(found, whole, "{id} cut at {at}");
            assert!(
                body.get(at..).unwrap().trim().is_empty(),
                "{id} cut at {at}"
            );
        }
    }
}

#[test]
fn recorded_answers_are_read_whole_in_pieces_and_never_when_cut() {
    let corpus = corpus::folder();
    let mut folders = vec![corpus.clone(), corpus.join("../recordings/wires")];
    let mut checked = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(recording) = small_call(&path) {
                check(&recording);
                checked += 1;
            }
        }
    }
    println!("{checked} recordings");
}

fn small_call(path: &Path) -> Option<Value> {
    let name = path.extension()?;
    let text = fs::read_to_string(path).ok().filter(|_| name == "json")?;
    let is_one = ["\"count-tokens\"", "\"compact\"", "\"cached-contents-"];
    if !is_one.iter().any(|word| text.contains(word)) {
        return None;
    }
    let recording: Value = serde_json::from_str(&text).ok()?;
    let operation = recording["operation"].as_str()?;
    let is_small = ["count-tokens", "compact"].contains(&operation)
        || operation.starts_with("cached-contents-");
    is_small.then_some(recording)
}
