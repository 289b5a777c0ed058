//! Embeddings: each provider's format, batches, order, wrong types.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use support::drive::{Answer, Arrival, options, run, start};
use unifiedai::{
    EmbedRequest, EmbedResponse, Error, ErrorKind,
    embed::{EmbedEncoding, EmbeddingInputType},
    provider::{Cohere, Gemini, Ollama, OpenAiChat, Provider},
    sans_io::{Exchange, Input, Step},
    transport::Time,
};

fn openai() -> Arc<dyn Provider> {
    Arc::new(
        OpenAiChat::custom("https://api.openai.com/v1")
            .name("openai")
            .build()
            .unwrap(),
    )
}

fn cohere() -> Arc<dyn Provider> {
    Arc::new(Cohere::new("k").unwrap())
}

fn gemini() -> Arc<dyn Provider> {
    Arc::new(Gemini::new("k").unwrap())
}

fn ollama() -> Arc<dyn Provider> {
    Arc::new(Ollama::local().unwrap())
}

fn two() -> EmbedRequest {
    EmbedRequest::new("m").text("one").text("two")
}

fn exchange(
    provider: &Arc<dyn Provider>,
    request: EmbedRequest,
) -> Result<Exchange<unifiedai::sans_io::Embed>, Error> {
    Exchange::embed(provider.clone(), Arc::new(request), options(), start())
}

fn ask(
    provider: &Arc<dyn Provider>,
    request: EmbedRequest,
    answer: &str,
) -> Result<EmbedResponse, Error> {
    let outcome = run(
        exchange(provider, request).unwrap(),
        &Answer::json(answer.to_owned()),
        Arrival::Pieces(3),
    );
    assert!(outcome.events.is_empty());
    outcome.result
}

fn body(provider: &Arc<dyn Provider>, request: &EmbedRequest) -> (String, Value) {
    let batch = provider.encode_embed(request, 0).unwrap();
    let http = batch.encoded.request;
    (
        http.uri().to_string(),
        serde_json::from_slice(http.body()).unwrap(),
    )
}

#[test]
fn every_provider_gets_its_own_request_format() {
    let request = two().dimensions(8);
    assert_eq!(
        body(
            &openai(),
            &request.clone().encoding(EmbedEncoding::Base64).user_id("u")
        ),
        (
            "https://api.openai.com/v1/embeddings".into(),
            json!({"model": "m", "input": ["one", "two"], "dimensions": 8, "encoding_format": "base64", "user": "u"})
        )
    );
    assert_eq!(
        body(
            &cohere(),
            &request.clone().input_type(EmbeddingInputType::Query)
        ),
        (
            "https://api.cohere.com/v2/embed".into(),
            json!({"model": "m", "texts": ["one", "two"], "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 8})
        )
    );
    assert_eq!(
        body(&ollama(), &request),
        (
            "http://localhost:11434/api/embed".into(),
            json!({"model": "m", "input": ["one", "two"], "dimensions": 8})
        )
    );
    assert_eq!(
        body(
            &gemini(),
            &EmbedRequest::new("gemini-embedding-001").text("one").dimensions(8).input_type(EmbeddingInputType::Query)
        ),
        (
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents".into(),
            json!({"requests": [{
                "model": "models/gemini-embedding-001",
                "content": {"parts": [{"text": "one"}]},
                "taskType": "RETRIEVAL_QUERY",
                "outputDimensionality": 8
            }]})
        )
    );
}

#[test]
fn unsupported_params_are_named() {
    let cases = [
        (
            openai(),
            two().input_type(EmbeddingInputType::Query),
            "`input_type`",
        ),
        (cohere(), two().user_id("u"), "`user_id`"),
        (
            cohere(),
            two().encoding(EmbedEncoding::Base64),
            "`encoding`",
        ),
        (
            ollama(),
            two().input_type(EmbeddingInputType::Query),
            "`input_type`",
        ),
        (gemini(), two().user_id("u"), "`user_id`"),
        (openai(), EmbedRequest::new("m"), "`input`"),
        (openai(), EmbedRequest::new("m").text(""), "`input`"),
        (openai(), EmbedRequest::new(" ").text("a"), "`model`"),
        (openai(), two().dimensions(0), "`dimensions`"),
    ];
    for (provider, request, name) in cases {
        let error = exchange(&provider, request.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(name), "{error}");
        if request.validate().is_ok() {
            let answer = match provider.name() {
                "openai" => r#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#,
                "gemini" => r#"{"embeddings":[{"values":[1]},{"values":[2]}]}"#,
                _ => r#"{"embeddings":[[1],[2]]}"#,
            };
            let response = ask(&provider, request.drop_unsupported(), answer).unwrap();
            assert!(response.warnings[0].message.contains(name));
        }
    }
}

#[test]
fn vectors_come_in_the_order_of_the_texts() {
    let response = ask(
        &openai(),
        two(),
        r#"{"object":"list","data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":"AACAPwAAAEA="}],"model":"m-2","usage":{"prompt_tokens":5,"total_tokens":5}}"#,
    )
    .unwrap();
    assert_eq!(response.embeddings, [[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(response.model, "m-2");
    assert_eq!(response.usage.unwrap().prompt_tokens, Some(5));
    assert_eq!(response.provider_metadata.provider, "openai");
    assert_eq!(response.metrics.attempts.len(), 1);
    for (provider, answer, tokens) in [
        (
            cohere(),
            r#"{"embeddings":{"float":[[1],[2]]},"meta":{"billed_units":{"input_tokens":3}}}"#,
            Some(3),
        ),
        (cohere(), r#"{"embeddings":[[1],[2]]}"#, None),
        (
            ollama(),
            r#"{"model":"m","embeddings":[[1],[2]],"prompt_eval_count":4}"#,
            Some(4),
        ),
    ] {
        let response = ask(&provider, two(), answer).unwrap();
        assert_eq!(response.embeddings, [[1.0], [2.0]]);
        assert_eq!(response.usage.and_then(|usage| usage.prompt_tokens), tokens);
        assert_eq!(response.model, "m");
    }
}

// F85
#[test]
fn wrong_shape_is_reported_with_its_path() {
    let cases = [
        (
            openai(),
            r#"{"data":[{"embedding":"Hello there"},{"embedding":[1]}]}"#,
            "`data[0].embedding`",
        ),
        (
            openai(),
            r#"{"data":[{"embedding":[1]},{"embedding":[1,"x"]}]}"#,
            "`data[1].embedding`",
        ),
        (
            openai(),
            r#"{"data":[{"embedding":[1]},{"embedding":{}}]}"#,
            "`data[1].embedding`",
        ),
        (
            openai(),
            r#"{"data":[{"embedding":[1]},7]}"#,
            "`data[1].embedding`",
        ),
        (
            openai(),
            r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#,
            "`data[1].index`",
        ),
        (
            openai(),
            r#"{"data":[{"index":9,"embedding":[1]},{"index":0,"embedding":[1]}]}"#,
            "`data[0].index`",
        ),
        (
            openai(),
            r#"{"data":[{"embedding":[1]}]}"#,
            "the response has 1 vectors for 2 texts",
        ),
        (openai(), r#"{"choices":[]}"#, "`data` is missing"),
        (
            cohere(),
            r#"{"embeddings":{"float":"x"}}"#,
            "`embeddings.float`",
        ),
        (cohere(), r#"{"embeddings":[[1],null]}"#, "`embeddings[1]`"),
        (ollama(), r#"{"embeddings":[1,2]}"#, "`embeddings[0]`"),
    ];
    for (provider, answer, place) in cases {
        let error = ask(&provider, two(), answer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{answer}: {error}");
        assert!(error.message().contains(place), "{answer}: {error}");
    }
    let error = ask(&openai(), two(), r#"{"data":[{"embedding":[1"#).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    let error = ask(
        &openai(),
        two(),
        r#"{"error":{"message":"m","code":"insufficient_quota"}}"#,
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
}

/// Runs an exchange of several requests; `answer` returns each response.
fn several(
    provider: &Arc<dyn Provider>,
    request: EmbedRequest,
    answer: impl Fn(&Value) -> Value,
) -> (usize, EmbedResponse) {
    let mut exchange = exchange(provider, request).unwrap();
    let (mut inputs, mut sent) = (VecDeque::new(), 0);
    loop {
        let now = Time::ZERO.saturating_add(Duration::from_secs(1));
        match exchange.poll(now) {
            Step::Send { request, .. } => {
                sent += 1;
                let asked: Value =
                    serde_json::from_slice(request.body().as_bytes().unwrap()).unwrap();
                let head = http::Response::new(()).into_parts().0;
                inputs.extend([
                    Input::Body(answer(&asked).to_string().into()),
                    Input::BodyEnd,
                ]);
                exchange.handle(Input::Headers(head), now);
            }
            Step::Receive { .. } => exchange.handle(inputs.pop_front().unwrap(), now),
            Step::Done => return (sent, exchange.into_result().unwrap()),
            step => panic!("not expected: {step:?}"),
        }
    }
}

#[test]
fn more_texts_than_fit_go_in_several_requests() {
    let request = EmbedRequest::new("m").texts((0..200).map(|n| n.to_string()));
    let answer = |asked: &Value| {
        let texts = asked["texts"].as_array().unwrap();
        assert!(texts.len() <= 96);
        let vectors: Vec<_> = texts
            .iter()
            .map(|text| json!([text.as_str().unwrap().parse::<f32>().unwrap()]))
            .collect();
        json!({"embeddings": {"float": vectors}, "meta": {"billed_units": {"input_tokens": texts.len()}}})
    };
    let (sent, response) = several(&cohere(), request, answer);
    assert_eq!(sent, 3);
    assert_eq!(response.metrics.attempts.len(), 3);
    let numbers: Vec<f32> = response.embeddings.concat();
    assert!(numbers.len() == 200 && numbers.is_sorted());
    assert_eq!(response.usage.unwrap().prompt_tokens, Some(200));
}

#[cfg(feature = "bedrock")]
mod bedrock {
    use super::*;
    use support::corpus;

    fn bedrock() -> Arc<dyn Provider> {
        let bedrock = unifiedai::provider::Bedrock::builder()
            .region("us-east-1")
            .api_key("k")
            .unwrap();
        Arc::new(bedrock.build().unwrap())
    }

    #[test]
    fn titan_takes_one_text_at_a_time() {
        let request = EmbedRequest::new("amazon.titan-embed-text-v2:0")
            .text("a")
            .text("bb")
            .dimensions(256);
        let (uri, asked) = body(&bedrock(), &request);
        assert!(
            uri.ends_with("/model/amazon.titan-embed-text-v2%3A0/invoke"),
            "{uri}"
        );
        assert_eq!(asked, json!({"inputText": "a", "dimensions": 256}));
        let answer = |asked: &Value| {
            let length = asked["inputText"].as_str().unwrap().len();
            json!({"embedding": [length], "inputTextTokenCount": length})
        };
        let (sent, response) = several(&bedrock(), request, answer);
        assert_eq!((sent, response.embeddings), (2, vec![vec![1.0], vec![2.0]]));
        assert_eq!(response.usage.unwrap().prompt_tokens, Some(3));
    }

    #[test]
    fn cohere_models_get_cohere_embed_requests() {
        let request = EmbedRequest::new("us.cohere.embed-v4:0")
            .text("a")
            .input_type(EmbeddingInputType::Clustering);
        let (_, asked) = body(&bedrock(), &request);
        assert_eq!(
            asked,
            json!({"texts": ["a"], "input_type": "clustering", "embedding_types": ["float"]})
        );
        let error = exchange(&bedrock(), EmbedRequest::new("meta.llama3").text("a")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn recorded_vectors_come_out_right() {
        let recordings = corpus::load("bedrock-invoke", Some("bedrock"));
        let mut read = 0;
        for recording in recordings
            .iter()
            .filter(|recording| recording.url.contains("embed"))
        {
            let told: Value = serde_json::from_slice(&recording.body).unwrap();
            let expected = [
                &told["embedding"],
                &told["embeddings"][0],
                &told["embeddings"]["float"][0],
            ]
            .into_iter()
            .find_map(|value| serde_json::from_value::<Vec<f32>>(value.clone()).ok());
            // Nova's own format is not supported.
            let Some(expected) = expected else {
                continue;
            };
            let texts = recording.request["texts"].as_array().map_or(1, Vec::len);
            let model = if recording.url.contains("titan") {
                "amazon.titan-embed"
            } else {
                "cohere.embed"
            };
            let request = EmbedRequest::new(model).texts(vec!["as recorded"; texts]);
            let outcome = run(
                exchange(&bedrock(), request).unwrap(),
                &recording.answer(),
                Arrival::Pieces(1000),
            );
            let response = outcome.result.unwrap();
            assert_eq!(
                (response.embeddings.len(), &response.embeddings[0]),
                (texts, &expected)
            );
            read += 1;
        }
        println!("{read} recorded answers with vectors");
        assert!(recordings.is_empty() || read >= 3);
    }
}
