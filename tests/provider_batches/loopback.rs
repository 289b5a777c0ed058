//! Runs over a transport against the loopback provider: what comes by a batch is what comes by a call.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};
use unifiedai::{
    ChatRequest, Client, UnifiedChatResponse,
    provider::{Anthropic, Gemini, OpenAiChat, Provider, openai_chat::profiles},
    provider_batch::{BatchRun, ItemOutcome, RunOptions, RunStep},
    transport::UreqTransport,
};
use unifiedai_loopback::{AwsKeys, Config, Loopback};

fn providers(server: &Loopback) -> Vec<Arc<dyn Provider>> {
    let openai = |profile, path: &str| -> Arc<dyn Provider> {
        let builder = OpenAiChat::builder().profile(profile).api_key("k").unwrap();
        let url = [&server.origin(), path].concat();
        Arc::new(builder.base_url(url).build().unwrap())
    };
    let anthropic = Anthropic::builder()
        .api_key("k")
        .unwrap()
        .base_url(server.base_url());
    let gemini = Gemini::builder()
        .api_key("k")
        .unwrap()
        .base_url(server.origin());
    vec![
        #[cfg(feature = "bedrock")]
        crate::bedrock::on_loopback(server),
        openai(profiles::OPENAI, "/openai/v1"),
        openai(profiles::MISTRAL, "/openai/v1"),
        Arc::new(anthropic.build().unwrap()),
        Arc::new(gemini.build().unwrap()),
    ]
}

pub(crate) fn carry_out(
    client: &Client,
    provider: &Arc<dyn Provider>,
    requests: &[ChatRequest],
    options: RunOptions,
) -> BTreeMap<u64, ItemOutcome> {
    let mut run = BatchRun::new(provider.clone(), "run1", options).unwrap();
    let mut outcomes = BTreeMap::new();
    // Seconds are the unit of a run; the server of these tests is faster.
    let mut now = SystemTime::now();
    loop {
        match run.poll(now) {
            RunStep::Line(line) => match requests.get(usize::try_from(line).unwrap()) {
                Some(request) => run.push(request),
                None => run.end_of_input(),
            },
            RunStep::Save => run.saved(),
            RunStep::Call(call) => {
                let mut items = Vec::new();
                let answer = client.batch_call(None, call, |item| items.push(item));
                items.into_iter().for_each(|item| run.on_item(item));
                run.on_answer(answer, now).unwrap();
            }
            RunStep::Outcome(line, outcome) => {
                assert!(outcomes.insert(line, outcome).is_none(), "{line}");
            }
            RunStep::Wait(until) => {
                thread::sleep(Duration::from_millis(4));
                now = until;
            }
            RunStep::Done => return outcomes,
            other => panic!("{other:?}"),
        }
    }
}

/// What an answer says, without what is measured or drawn for each call.
fn said(response: &UnifiedChatResponse) -> serde_json::Value {
    let mut value = serde_json::to_value(response).unwrap();
    let object = value.as_object_mut().unwrap();
    for name in [
        "id",
        "created",
        "metrics",
        "provider_metadata",
        "system_fingerprint",
    ] {
        object.remove(name);
    }
    value
}

#[test]
fn answer_by_batch_is_answer_by_call() {
    let server = Loopback::start(Config {
        aws: Some(AwsKeys::default()),
        ..Config::fast()
    })
    .unwrap();
    for provider in providers(&server) {
        let client = Client::shared(UreqTransport::new(), provider.clone());
        let requests: Vec<ChatRequest> = (0..300)
            .map(|number| {
                // A batch of Bedrock has one model and at least 100 requests.
                let thinks = match provider.name() {
                    "bedrock" => number < 150,
                    _ => number % 3 == 0,
                };
                let model = if thinks { "think-1" } else { "m-1" };
                let text = match number % 5 {
                    0 => format!("echo: line {number} \u{e9} \"quoted\" \\"),
                    1 => "Why is fast inference important?".to_owned(),
                    _ => format!("Say something of {number}."),
                };
                ChatRequest::new(model)
                    .user(text)
                    .max_tokens(40 + number % 7)
            })
            .collect();
        let options = RunOptions::default()
            .poll(Duration::from_secs(1))
            .max_part_requests(150);
        let outcomes = carry_out(&client, &provider, &requests, options);
        assert_eq!(outcomes.len(), requests.len());
        for (line, request) in (0_u64..).zip(&requests) {
            let called = client.chat(request.clone()).unwrap();
            let ItemOutcome::Succeeded(answer) = &outcomes[&line] else {
                panic!("{} {line} {:?}", provider.name(), outcomes[&line]);
            };
            assert_eq!(said(answer), said(&called), "{} {line}", provider.name());
        }
    }
}

#[test]
fn outcomes_of_single_lines_are_told_apart() {
    // Bedrock needs more lines: `bedrock.rs` has its test.
    for name in ["openai", "mistral", "anthropic", "gemini"] {
        let server = Loopback::start(Config::fast()).unwrap();
        let mut providers = providers(&server).into_iter();
        let provider = providers.find(|provider| provider.name() == name).unwrap();
        let client = Client::shared(UreqTransport::new(), provider.clone());
        let faults = [
            "",
            "batch fault: lost",
            "batch fault: expired",
            "batch fault: status-429",
            "",
        ];
        let requests = faults.map(|fault| {
            ChatRequest::new("m-1")
                .user(format!("Hello. {fault}"))
                .max_tokens(9)
        });
        let options = RunOptions::default().poll(Duration::from_secs(1));
        let outcomes = carry_out(&client, &provider, &requests, options);
        let words: Vec<&str> = outcomes.values().map(ItemOutcome::as_str).collect();
        // Gemini has no word for a line that expired: its batches expire as a whole.
        let expired = if provider.name() == "gemini" {
            "failed"
        } else {
            "expired"
        };
        let expected = ["succeeded", "lost", expired, "failed", "succeeded"];
        assert_eq!(words, expected, "{}", provider.name());
        let ids: Vec<String> = server.batches().concat();
        assert_eq!(ids.len(), 5, "{}", provider.name());
    }
}
