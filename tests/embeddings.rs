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

/// A server that refuses some requests with a status and a body. The numbers of texts of each request, and the result.
fn refusing(
    provider: &Arc<dyn Provider>,
    request: EmbedRequest,
    refusal: impl Fn(&[String]) -> Option<(u16, String)>,
) -> (Vec<usize>, Result<EmbedResponse, Error>) {
    let mut exchange = exchange(provider, request).unwrap();
    let (mut inputs, mut sent) = (VecDeque::new(), Vec::new());
    let now = Time::ZERO.saturating_add(Duration::from_secs(1));
    loop {
        match exchange.poll(now) {
            Step::Send { request, .. } => {
                let asked: Value =
                    serde_json::from_slice(request.body().as_bytes().unwrap()).unwrap();
                let texts: Vec<String> = serde_json::from_value(asked["input"].clone()).unwrap();
                sent.push(texts.len());
                let mut head = http::Response::new(()).into_parts().0;
                let body = match refusal(&texts) {
                    Some((status, body)) => {
                        head.status = http::StatusCode::from_u16(status).unwrap();
                        body
                    }
                    None => {
                        let vectors = texts.iter().map(|text| json!({"embedding": [text.len()]}));
                        json!({"data": vectors.collect::<Vec<_>>(), "usage": {"prompt_tokens": texts.len()}})
                            .to_string()
                    }
                };
                inputs.extend([Input::Body(body.into()), Input::BodyEnd]);
                exchange.handle(Input::Headers(head), now);
            }
            Step::Receive { .. } => exchange.handle(inputs.pop_front().unwrap(), now),
            Step::Done => return (sent, exchange.into_result()),
            step => panic!("not expected: {step:?}"),
        }
    }
}

/// The texts of servers, from the wire sheet.
const REFUSALS: [(u16, &str); 12] = [
    (
        400,
        r#"{"error":{"message":"Requested 306153 tokens, max 300000 tokens per request","type":"max_tokens_per_request","param":null,"code":"max_tokens_per_request"}}"#,
    ),
    (
        400,
        r#"{"error":{"message":"Invalid 'input[3]': maximum input length is 8192 tokens.","type":"invalid_request_error"}}"#,
    ),
    (
        400,
        r#"{"error":{"message":"This model's maximum context length is 8192 tokens, however you requested 9000 tokens (9000 in your prompt; 0 for the completion). Please reduce your prompt; or completion length."}}"#,
    ),
    (
        400,
        r#"{"error":{"message":"Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length 2049 instead.","code":"array_above_max_length"}}"#,
    ),
    (
        400,
        r#"{"error":{"message":"Too many inputs. The max number of inputs is 16.  We hope to increase the number of inputs per request soon."}}"#,
    ),
    (
        400,
        r#"{"message":"invalid request: total number of texts must be at most 96 - received 97"}"#,
    ),
    (
        400,
        r#"{"error":{"code":400,"message":"BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch","status":"INVALID_ARGUMENT"}}"#,
    ),
    (
        400,
        r#"{"error":{"code":400,"message":"Unable to submit request because the input token count is 34708 but the model supports up to 20000. Reduce the input token count and try again.","status":"INVALID_ARGUMENT"}}"#,
    ),
    (
        400,
        r#"{"object":"error","message":"Too many tokens overall, split into more batches.","type":"invalid_request_prompt","param":null,"code":"3210"}"#,
    ),
    (
        400,
        r#"{"detail":"Request to model 'voyage-4-large' failed. The max allowed tokens per submitted batch is 120000. Your batch has 126899 tokens after truncation. Please lower the number of tokens in the batch.","error_code":"TOO_MANY_TOKENS_IN_BATCH"}"#,
    ),
    (
        500,
        r#"{"error":{"code":500,"message":"input (600 tokens) is too large to process. increase the physical batch size (current batch size: 512)","type":"server_error"}}"#,
    ),
    (
        413,
        r#"{"error":"batch size 40 > maximum allowed batch size 32","error_type":"Validation"}"#,
    ),
];

#[test]
fn a_batch_that_is_too_large_is_halved_until_it_is_taken() {
    for (status, body) in REFUSALS {
        let request = EmbedRequest::new("m").texts((0..20).map(|n| "x".repeat(n + 1)));
        let (sent, result) = refusing(&openai(), request, |texts| {
            (texts.len() > 6).then(|| (status, body.to_owned()))
        });
        // The size that was taken is kept.
        assert_eq!(sent, [20, 10, 5, 5, 5, 5], "{body}");
        let response = result.unwrap();
        let lengths: Vec<f32> = response.embeddings.iter().map(|vector| vector[0]).collect();
        assert_eq!(lengths, (1..=20_u8).map(f32::from).collect::<Vec<_>>());
        assert_eq!(response.usage.unwrap().prompt_tokens, Some(20));
    }
}

#[test]
fn a_text_that_is_too_long_alone_is_named() {
    let long = "x".repeat(100);
    let texts = (0..9).map(|n| if n == 5 { long.clone() } else { n.to_string() });
    let request = EmbedRequest::new("m").texts(texts);
    let (status, body) = REFUSALS[1];
    let (sent, result) = refusing(&openai(), request, |texts| {
        texts.contains(&long).then(|| (status, body.to_owned()))
    });
    assert_eq!(sent, [9, 4, 4, 2, 1, 1], "0 to 3, then 4, then 5 alone");
    let error = result.unwrap_err();
    assert!(error.message().starts_with("`input[5]`: "), "{error}");
    assert_eq!(error.status(), Some(400));
    // One text is not divided, and has no number.
    let (sent, result) = refusing(&openai(), EmbedRequest::new("m").text(&long), |_| {
        Some((status, body.to_owned()))
    });
    assert_eq!(sent, [1]);
    assert!(!result.unwrap_err().message().contains("`input["));
}

#[test]
fn other_refusals_are_not_repeated() {
    for (status, body) in [
        (
            400,
            r#"{"error":{"message":"input cannot be an empty string"}}"#,
        ),
        (401, r#"{"error":{"message":"too many tokens"}}"#),
        (
            429,
            r#"{"error":{"message":"Too many tokens, please wait before trying again."}}"#,
        ),
    ] {
        let request = EmbedRequest::new("m").texts(["a", "b", "c", "d"]);
        let (sent, result) = refusing(&openai(), request, |_| Some((status, body.to_owned())));
        assert_eq!((sent, result.is_err()), (vec![4], true), "{body}");
    }
}

#[test]
fn vectors_come_in_base64_where_it_is_known() {
    for (name, expected) in [
        ("openai", "base64"),
        ("azure-v1", "base64"),
        ("mistral", ""),
    ] {
        let profile = unifiedai::provider::openai_chat::profiles::by_name(name).unwrap();
        let mut builder = OpenAiChat::builder().profile(profile).api_key("k").unwrap();
        if name == "azure-v1" {
            builder = builder.url_param("resource", "r");
        }
        let provider: Arc<dyn Provider> = Arc::new(builder.build().unwrap());
        let asked = body(&provider, &two()).1;
        let format = asked["encoding_format"].as_str().unwrap_or_default();
        assert_eq!(format, expected, "{name}");
        let asked = body(&provider, &two().encoding(EmbedEncoding::Float)).1;
        assert_eq!(
            asked["encoding_format"], "float",
            "the caller's word counts"
        );
    }
}

/// 2,048 vectors of 3,072 numbers as text are above the limit of 64 MiB.
#[test]
fn batches_are_cut_so_that_the_answer_fits() {
    let texts = || EmbedRequest::new("m").texts((0..2048).map(|n| n.to_string()));
    let sizes = |request| refusing(&openai(), request, |_| None).0;
    let number = "-0.012345678901234567,".len();
    for (request, dimensions) in [(texts(), 3072), (texts().dimensions(256), 256)] {
        let sent = sizes(request);
        assert_eq!(sent.iter().sum::<usize>(), 2048);
        assert!(sent[0] * dimensions * number < 64 << 20, "{sent:?}");
        assert!(
            sent[0] * dimensions * number > 32 << 20 || sent[0] == 2048,
            "{sent:?}"
        );
    }
    assert_eq!(sizes(texts().encoding(EmbedEncoding::Base64)), [2048]);
}
