//! Bedrock's protocol: frames, signatures, exceptions, lists.
#![expect(clippy::disallowed_methods, reason = "a test with real sockets")]

mod client;

use std::time::{SystemTime, UNIX_EPOCH};

use client::{Client, End, Response};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use unifiedai_loopback::{AwsKeys, Config, Loopback};

fn server() -> Loopback {
    Loopback::start(Config::fast()).unwrap()
}

fn user(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": text}]}]})
}

fn post(client: &mut Client, model: &str, operation: &str, body: &Value) -> Response {
    client.request(
        "POST",
        &format!("/model/{model}/{operation}"),
        "",
        &body.to_string(),
    )
}

/// The frames of a body as (headers, payload), with verified checksums.
fn frames(mut body: &[u8]) -> Vec<(Vec<(String, String)>, Value)> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
    let mut frames = Vec::new();
    while !body.is_empty() {
        let (total, length) = (number(&body[..4]), number(&body[4..8]));
        let (frame, rest) = body.split_at(total);
        assert_eq!(number(&frame[8..12]), crc32fast::hash(&frame[..8]) as usize);
        assert_eq!(
            number(&frame[total - 4..]),
            crc32fast::hash(&frame[..total - 4]) as usize
        );
        let (mut headers, payload) = frame[12..total - 4].split_at(length);
        let mut pairs = Vec::new();
        while !headers.is_empty() {
            let name = usize::from(headers[0]);
            assert_eq!(headers[1 + name], 7);
            let value = number(&headers[2 + name..4 + name]);
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            pairs.push((
                text(&headers[1..1 + name]),
                text(&headers[4 + name..4 + name + value]),
            ));
            headers = &headers[4 + name + value..];
        }
        frames.push((pairs, serde_json::from_slice(payload).unwrap()));
        body = rest;
    }
    frames
}

fn kinds(frames: &[(Vec<(String, String)>, Value)]) -> Vec<&str> {
    frames
        .iter()
        .map(|(headers, _)| headers[0].1.as_str())
        .collect()
}

#[test]
fn single_body_response() {
    let server = server();
    let mut client = Client::new(&server);
    let response = post(
        &mut client,
        "amazon.nova-lite-v1%3A0",
        "converse",
        &user("echo: hi there"),
    );
    let body = response.json();
    assert_eq!(
        body["output"]["message"],
        json!({"role": "assistant", "content": [{"text": "hi there"}]})
    );
    assert_eq!(body["stopReason"], "end_turn");
    assert!(body["metrics"]["latencyMs"].is_u64() && body["usage"]["totalTokens"].is_u64());
    assert_eq!(response.header("x-amzn-requestid").unwrap().len(), 36);
    let mut limited = user("a long story");
    limited["inferenceConfig"] = json!({"maxTokens": 3});
    let body = post(&mut client, "m", "converse", &limited).json();
    assert_eq!(
        (&body["stopReason"], &body["usage"]["outputTokens"]),
        (&json!("max_tokens"), &json!(3))
    );
    limited["inferenceConfig"] = json!({"stopSequences": ["said"]});
    let body = post(&mut client, "m", "converse", &limited).json();
    assert_eq!(
        (
            &body["stopReason"],
            &body["output"]["message"]["content"][0]["text"]
        ),
        (&json!("stop_sequence"), &json!("You "))
    );
}

#[test]
fn a_stream_is_framed_and_its_metadata_is_last() {
    let server = server();
    let response = post(
        &mut Client::new(&server),
        "openai.gpt-oss-120b-1:0",
        "converse-stream",
        &user("echo: hi there"),
    );
    assert_eq!(
        response.header("content-type"),
        Some("application/vnd.amazon.eventstream")
    );
    assert_eq!(response.end, End::Framed);
    let frames = frames(&response.body);
    let mut kinds = kinds(&frames);
    kinds.dedup();
    let block = ["contentBlockDelta", "contentBlockStop"];
    assert_eq!(
        kinds,
        [
            &["messageStart"],
            &block[..],
            &block[..],
            &["messageStop", "metadata"]
        ]
        .concat()
    );
    let texts = |pointer: &str| -> String {
        frames
            .iter()
            .filter_map(|(_, payload)| payload.pointer(pointer)?.as_str())
            .collect()
    };
    assert_eq!(texts("/delta/text"), "hi there");
    assert!(texts("/delta/reasoningContent/text").contains("hi there"));
    assert!(!texts("/delta/reasoningContent/signature").is_empty());
    assert!(
        frames
            .iter()
            .all(|(headers, payload)| payload["p"].is_string()
                && headers[2] == (":message-type".into(), "event".into()))
    );
}

#[test]
fn tools_are_called_and_results_sent() {
    let server = server();
    let mut client = Client::new(&server);
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let mut request = user("use the tool with 7");
    request["toolConfig"] =
        json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": schema}}}]});
    let body = post(&mut client, "anthropic.claude", "converse", &request).json();
    let call = &body["output"]["message"]["content"][0]["toolUse"];
    assert_eq!(
        (&body["stopReason"], &call["input"]),
        (&json!("tool_use"), &json!({"a": 7}))
    );
    for (model, deltas) in [
        ("amazon.nova-lite-v1:0", 1..2),
        ("anthropic.claude", 3..100),
    ] {
        let frames = frames(&post(&mut client, model, "converse-stream", &request).body);
        let pieces: Vec<_> = frames
            .iter()
            .filter_map(|(_, payload)| payload.pointer("/delta/toolUse/input")?.as_str())
            .collect();
        assert!(deltas.contains(&pieces.len()), "{pieces:?}");
        assert_eq!(
            serde_json::from_str::<Value>(&pieces.concat()).unwrap(),
            json!({"a": 7})
        );
        assert_eq!(kinds(&frames)[1], "contentBlockStart");
    }
    let result =
        json!({"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "49"}]}});
    let messages = request["messages"].as_array_mut().unwrap();
    messages.extend([
        body["output"]["message"].clone(),
        json!({"role": "user", "content": [result]}),
    ]);
    let body = post(&mut client, "anthropic.claude", "converse", &request).json();
    assert_eq!(
        body["output"]["message"]["content"][0]["text"],
        "The tool answered: 49"
    );
}

#[test]
fn invalid_requests_are_validation_exceptions() {
    let server = server();
    let mut client = Client::new(&server);
    let mut hot = user("x");
    hot["inferenceConfig"] = json!({"temperature": 1.5});
    for (model, body) in [
        ("m", json!({"messages": []})),
        (
            "m",
            json!({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}),
        ),
        ("m", user(" ")),
        (
            "m",
            json!({"messages": [{"role": "user", "content": [{"toolResult": {}}]}]}),
        ),
        ("m", hot),
        ("missing", user("x")),
        ("fault-nonsense", user("x")),
        ("fault-context-overflow", user("x")),
    ] {
        let response = post(&mut client, model, "converse", &body);
        assert_eq!(response.status, 400, "{body}");
        assert!(
            response
                .header("x-amzn-errortype")
                .unwrap()
                .starts_with("ValidationException:http://")
        );
        assert!(response.json()["message"].is_string());
    }
    assert_eq!(post(&mut client, "m", "nothing", &user("x")).status, 404);
}

#[test]
fn faults_are_sent_as_exceptions() {
    let server = server();
    let mut client = Client::new(&server);
    let throttled = post(&mut client, "fault-status-429", "converse", &user("x"));
    assert!(
        throttled
            .header("x-amzn-errortype")
            .unwrap()
            .starts_with("ThrottlingException:")
    );
    assert!(throttled.header("x-amzn-requestid").is_some());
    for (spec, at, name) in [
        ("error-in-stream-at-0", 0, "throttlingException"),
        (
            "error-in-stream-at-2%2Bcode=validationException",
            2,
            "validationException",
        ),
    ] {
        let response = post(
            &mut client,
            &format!("fault-{spec}"),
            "converse-stream",
            &user("x"),
        );
        let frames = frames(&response.body);
        assert_eq!((response.status, frames.len()), (200, at + 1));
        assert_eq!(frames[at].0[0], (":exception-type".into(), name.into()));
        assert_eq!(
            frames[at].0[2],
            (":message-type".into(), "exception".into())
        );
    }
    let cut = post(
        &mut client,
        "fault-cut-clean-at-3",
        "converse-stream",
        &user("x"),
    );
    assert_eq!((cut.end, frames(&cut.body).len()), (End::Framed, 3));
    let corrupt = post(
        &mut client,
        "fault-corrupt-at-1",
        "converse-stream",
        &user("x"),
    );
    assert!(std::panic::catch_unwind(|| frames(&corrupt.body)).is_err());
    let filled = post(
        &mut client,
        "fault-comments+crlf+bom+done",
        "converse-stream",
        &user("echo: a"),
    );
    assert_eq!(
        kinds(&frames(&filled.body))
            .iter()
            .filter(|kind| **kind == "loopbackFiller")
            .count(),
        5
    );
    let half = post(
        &mut client,
        "fault-half-json",
        "converse-stream",
        &user("echo: a b c"),
    );
    assert!(std::panic::catch_unwind(|| frames(&half.body)).is_err());
    let split = post(
        &mut client,
        "fault-split-bytes-5",
        "converse-stream",
        &user("echo: a b c"),
    );
    assert!(split.chunks.len() > 100 && frames(&split.body).len() > 3);
}

#[test]
fn load_response_has_exactly_its_tokens() {
    let server = server();
    let mut client = Client::new(&server);
    for _ in 0..2 {
        let frames = frames(&post(&mut client, "load-500", "converse-stream", &user("x")).body);
        assert_eq!(
            kinds(&frames)
                .iter()
                .filter(|kind| **kind == "contentBlockDelta")
                .count(),
            500
        );
        let body = post(&mut client, "load-16", "converse", &user("x")).json();
        assert_eq!(body["usage"]["outputTokens"], 16);
    }
}

#[test]
fn models_and_profiles_are_listed() {
    let server = server();
    let mut client = Client::new(&server);
    let body = client
        .get("/foundation-models?byOutputModality=TEXT")
        .json();
    let id = body["modelSummaries"][0]["modelId"].as_str().unwrap();
    assert_eq!(
        client
            .get(&format!("/foundation-models/{}", id.replace(':', "%3A")))
            .json()["modelDetails"]["modelId"],
        id
    );
    let mut token = Value::Null;
    let mut profiles = 0;
    loop {
        let query = token
            .as_str()
            .map(|token| format!("?nextToken={token}"))
            .unwrap_or_default();
        let body = client.get(&format!("/inference-profiles{query}")).json();
        profiles += body["inferenceProfileSummaries"].as_array().unwrap().len();
        token = body["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(profiles, 3);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The present time as `20250102T030405Z`.
fn now() -> String {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (mut year, mut day) = (1970, time / 86_400);
    let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let months = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while day >= months[month] {
        day -= months[month];
        month += 1;
    }
    format!(
        "{year}{:02}{:02}T{:02}{:02}{:02}Z",
        month + 1,
        day + 1,
        time / 3600 % 24,
        time / 60 % 60,
        time % 60
    )
}

/// A request without a query, signed.
fn signed(client: &mut Client, keys: &AwsKeys, date: &str, body: &str) -> Response {
    let (path, canonical_path) = ("/model/a.b%3A0/converse", "/model/a.b%253A0/converse");
    let token = keys
        .session_token
        .as_ref()
        .map(|token| format!("x-amz-security-token:{token}\n"))
        .unwrap_or_default();
    let names = if token.is_empty() {
        "host;x-amz-date"
    } else {
        "host;x-amz-date;x-amz-security-token"
    };
    let hash = hex(&Sha256::digest(body));
    let canonical = format!(
        "POST\n{canonical_path}\n\nhost:loopback\nx-amz-date:{date}\n{token}\n{names}\n{hash}"
    );
    let scope = format!("{}/{}/bedrock/aws4_request", &date[..8], keys.region);
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let mut key = format!("AWS4{}", keys.secret_key).into_bytes();
    for part in scope.split('/').chain([text.as_str()]) {
        key = Hmac::<Sha256>::new_from_slice(&key)
            .unwrap()
            .chain_update(part)
            .finalize()
            .into_bytes()
            .to_vec();
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        keys.access_key,
        hex(&key)
    );
    let headers = format!(
        "x-amz-date: {date}\r\nauthorization: {authorization}\r\n{}",
        token.replace('\n', "\r\n")
    );
    client.request("POST", path, &headers, body)
}

#[test]
fn signatures_are_checked() {
    let keys = AwsKeys::default();
    let server = Loopback::start(Config {
        aws: Some(keys.clone()),
        ..Config::fast()
    })
    .unwrap();
    let mut client = Client::new(&server);
    let body = user("x").to_string();
    assert_eq!(signed(&mut client, &keys, &now(), &body).status, 200);
    for (keys, date, exception) in [
        (
            AwsKeys {
                secret_key: "other".into(),
                ..keys.clone()
            },
            now(),
            "InvalidSignatureException",
        ),
        (
            AwsKeys {
                region: "eu-west-1".into(),
                ..keys.clone()
            },
            now(),
            "InvalidSignatureException",
        ),
        (
            AwsKeys {
                access_key: "AKIDOTHER".into(),
                ..keys.clone()
            },
            now(),
            "UnrecognizedClientException",
        ),
        (
            AwsKeys {
                session_token: Some("expired".into()),
                ..keys.clone()
            },
            now(),
            "ExpiredTokenException",
        ),
        (
            keys.clone(),
            "20200102T030405Z".to_owned(),
            "InvalidSignatureException",
        ),
    ] {
        let response = signed(&mut client, &keys, &date, &body);
        assert_eq!(response.status, 403);
        let kind = response.header("x-amzn-errortype").unwrap();
        assert_eq!(
            kind,
            format!("{exception}:http://internal.amazon.com/coral/com.amazon.coral.service/")
        );
        assert_eq!(
            response.json()["message"]
                .as_str()
                .unwrap()
                .starts_with("Signature expired: 2020"),
            date.starts_with("2020")
        );
    }
    let unsigned = client.request("POST", "/model/m/converse", "", &body);
    assert!(
        unsigned
            .header("x-amzn-errortype")
            .unwrap()
            .starts_with("MissingAuthenticationTokenException")
    );
    for (key, status) in [("loopback-key", 200), ("other", 403)] {
        assert_eq!(
            client
                .request(
                    "POST",
                    "/model/m/converse",
                    &format!("authorization: Bearer {key}\r\n"),
                    &body
                )
                .status,
            status
        );
    }
    let keys = AwsKeys {
        session_token: Some("token".into()),
        ..keys
    };
    let server = Loopback::start(Config {
        aws: Some(keys.clone()),
        ..Config::fast()
    })
    .unwrap();
    assert_eq!(
        signed(&mut Client::new(&server), &keys, &now(), &body).status,
        200
    );
}
