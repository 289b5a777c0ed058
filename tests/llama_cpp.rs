//! Chats with llama.cpp's own server over the three transports. The test is skipped with a message if Python
//! (`UNIFIEDAI_PYTHON`, default `python3`) lacks the packages `xllamacpp` and `gguf`.
#![cfg(all(feature = "ureq", feature = "hyper", feature = "smol"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop, and it starts a server"
)]

use serde_json::json;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
};
use unifiedai::{
    AsyncClient, ChatRequest, Client, Error, ErrorKind, FinishReason, JsonSchema, ResponseFormat,
    StreamEvent, Tool, ToolChoice, ToolResult, UnifiedChatResponse,
    provider::{OpenAiChat, Provider, openai_chat::profiles},
    sans_io::Accumulator,
    transport,
};

/// The server, which exits when its standard input is closed.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start() -> Option<Server> {
        let python = std::env::var("UNIFIEDAI_PYTHON").unwrap_or_else(|_| "python3".into());
        let known = Command::new(&python)
            .args(["-c", "import xllamacpp, gguf"])
            .stderr(Stdio::null())
            .status();
        if !known.is_ok_and(|status| status.success()) {
            println!("skipped: `{python}` has not the packages xllamacpp and gguf");
            return None;
        }
        let mut process = Command::new(&python)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/llama_cpp/server.py"
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut addresses = lines.map(|line| line.expect("the server starts"));
        let url = addresses.find(|line| line.starts_with("http://"));
        Some(Server {
            url: url.expect("the server says where it is"),
            process,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One client per transport.
struct Callers {
    ureq: Client,
    hyper: AsyncClient,
    smol: AsyncClient,
    tokio: tokio::runtime::Runtime,
}

type Answer = Result<(UnifiedChatResponse, Vec<StreamEvent>), Error>;

impl Callers {
    fn new(provider: Arc<dyn Provider>) -> Callers {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let hyper = {
            let _inside = tokio.enter();
            transport::HyperTransport::new()
        };
        Callers {
            ureq: Client::shared(transport::UreqTransport::new(), provider.clone()),
            hyper: AsyncClient::shared(hyper, provider.clone()),
            smol: AsyncClient::shared(transport::SmolTransport::new(), provider),
            tokio,
        }
    }

    /// The response to the request over each transport.
    fn ask(&self, request: &ChatRequest) -> [Answer; 3] {
        let request = Arc::new(request.clone());
        let whole = |response| (response, Vec::new());
        if !request.stream {
            return [
                self.ureq.chat(request.clone()).map(whole),
                self.tokio
                    .block_on(self.hyper.chat(request.clone()))
                    .map(whole),
                smol::block_on(self.smol.chat(request)).map(whole),
            ];
        }
        let blocking = || {
            let mut stream = self.ureq.stream(request.clone())?;
            let events = stream.by_ref().collect::<Result<Vec<_>, _>>()?;
            Ok((stream.into_response()?, events))
        };
        let over_hyper = async {
            let mut stream = self.hyper.stream(request.clone())?;
            let mut events = Vec::new();
            while let Some(event) = stream.next().await {
                events.push(event?);
            }
            Ok((stream.into_response().await?, events))
        };
        let over_smol = async {
            let mut stream = self.smol.stream(request.clone())?;
            let mut events = Vec::new();
            while let Some(event) = stream.next().await {
                events.push(event?);
            }
            Ok((stream.into_response().await?, events))
        };
        [
            blocking(),
            self.tokio.block_on(over_hyper),
            smol::block_on(over_smol),
        ]
    }

    fn all_right(&self, request: &ChatRequest) -> Vec<UnifiedChatResponse> {
        let read = |answer: Answer| {
            let (response, events) = answer.unwrap();
            if request.stream {
                let mut fold = Accumulator::new();
                events.iter().for_each(|event| fold.apply(event));
                assert_eq!(fold.response().choices, response.choices);
                assert!(response.metrics.ttft.is_some());
            }
            let usage = response.usage.as_ref().unwrap();
            assert!(usage.prompt_tokens.is_some() && usage.completion_tokens.is_some());
            assert!(response.metrics.server.completion.is_some(), "`timings`");
            assert_eq!(response.provider_metadata.status, Some(200));
            response
        };
        self.ask(request).into_iter().map(read).collect()
    }
}

#[test]
fn responses_of_a_real_server_are_decoded() {
    let Some(server) = Server::start() else {
        return;
    };
    let llama = OpenAiChat::builder()
        .profile(profiles::LLAMA_CPP)
        .base_url(format!("{}/v1", server.url));
    let callers = Callers::new(Arc::new(llama.build().unwrap()));
    for stream in [false, true] {
        let hi = || {
            let request = ChatRequest::new("tiny").user("hi").stream(stream);
            request.max_tokens(12).seed(1).temperature(0.0)
        };
        plain(&callers, &hi());
        structured(&callers, &hi());
        tools(&callers, &hi());
        overflow(&callers, &hi());
    }
    let models = callers.ureq.list_models(None).unwrap();
    assert!(!models.is_empty());
}

fn plain(callers: &Callers, hi: &ChatRequest) {
    for response in callers.all_right(hi) {
        assert_eq!(
            response.choices[0].finish_reason,
            Some(FinishReason::Length)
        );
        assert!(!response.text().is_empty());
    }
    let with_logprobs = hi.clone().logprobs(true).top_logprobs(2);
    for response in callers.all_right(&with_logprobs) {
        let logprobs = response.choices[0].logprobs.as_ref().unwrap();
        assert_eq!(logprobs.content.len(), 12);
        assert_eq!(logprobs.content[0].top_logprobs.len(), 2);
    }
}

fn structured(callers: &Callers, hi: &ChatRequest) {
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": false});
    let format = ResponseFormat::JsonSchema(JsonSchema::new("answer", &schema).unwrap());
    for response in callers.all_right(&hi.clone().max_tokens(60).response_format(format)) {
        let answer: serde_json::Value = response.parse().unwrap();
        assert!(answer["ok"].is_boolean(), "{answer}");
    }
}

fn tools(callers: &Callers, hi: &ChatRequest) {
    let schema = json!({"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"], "additionalProperties": false});
    let tool = Tool::function("light", "Switches the light.", &schema).unwrap();
    let request = hi.clone().tool(tool).max_tokens(200);
    for response in callers.all_right(&request.clone().tool_choice(ToolChoice::Auto)) {
        assert!(!response.is_empty());
    }
    for response in callers.all_right(&request.clone().tool_choice(ToolChoice::Required)) {
        let calls: Vec<_> = response.tool_calls().cloned().collect();
        // A forced response may still exceed the token limit.
        let cut = response.choices[0].finish_reason == Some(FinishReason::Length);
        assert!(cut || !calls.is_empty(), "{response:?}");
        for call in calls.iter().filter(|_| !cut) {
            assert_eq!(call.name, "light");
            assert!(call.has_valid_arguments(), "{}", call.arguments);
            let again = hi.clone().message(response.message().unwrap().clone());
            let again = again.tool_result(ToolResult::new(&call.id, "done"));
            callers.all_right(&again);
        }
    }
}

fn overflow(callers: &Callers, hi: &ChatRequest) {
    for answer in callers.ask(&hi.clone().user("x ".repeat(4000))) {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContextOverflow, "{error}");
        assert_eq!(error.status(), Some(400));
    }
}
