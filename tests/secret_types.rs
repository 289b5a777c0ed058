//! Every public type is covered: it is shown with a canary inside, or cannot contain a secret.
#![cfg(all(
    feature = "ureq",
    feature = "hyper",
    feature = "bedrock",
    feature = "testing"
))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use manual_driver::*;
use std::{collections::BTreeSet, fmt::Debug, sync::Arc};
use unifiedai::{
    AsyncClient, ChatRequest, Client, Secret, Tool,
    batch::BatchOptions,
    compat::{AsyncCerebras, BedrockCompat, Cerebras, ConverseRequest},
    credentials::{Credentials, Environment, Federation, SubjectToken, Token, TokenEndpoint},
    policy::{Fallback, FallbackTarget},
    provider::{
        Anthropic, Auth, AwsCredentialSource, AwsCredentials, Bedrock, Cohere, Credential, Gemini,
        GeminiInteractions, Ollama, OpenAiChat, OpenAiResponses, Provider, Signer,
        openai_responses,
    },
    sans_io::Exchange,
    transport::{
        self, AsyncDriver, Driver, RequestBody, Time, Transport,
        testing::{MockResponse, MockTransport, Recorder},
    },
};

const KEY: &str = "k3yc4n4rybird-2718281828";
const HEADER: &str = "h34dc4n4rybird-1414213562";

/// Types with numbers, fixed names, and names that the caller chose to be visible.
const PLAIN: &str = "
provider_batch::BatchCounts provider_batch::BatchState provider_batch::RunOptions provider_batch::RunProgress
provider::BatchDialect provider::BatchLimits provider::BatchProfile provider::BatchStorage provider::Submission
tokens::Fit cache::CacheExpiry cache::CacheLife cache::CachePlan cache::CacheRules cache::CacheTier cache::CacheMissCause provider::TokenCounter provider_batch::BatchCounts provider_batch::BatchState provider_batch::RunOptions provider_batch::RunProgress
provider::BatchDialect provider::BatchLimits provider::BatchProfile provider::Submission
observe::MetricsObserver observe::TracingObserver
provider::ResponseLimits provider::BaseUrl batch::BatchOptions policy::CircuitBreakerConfig observe::CallEvent observe::CallInfo CallOptions observe::CallSummary sans_io::Chat
compare::ComparisonMetric sans_io::Embed embed::EmbedEncoding embed::EmbeddingInputType ErrorKind FinishReason provider::Framing policy::ProviderLimits health::HealthStatus
chat::ImageDetail observe::CallObservation chat::Param chat::RateLimit ReasoningEffort chat::ReasoningFormat
chat::CredentialFetch chat::ImageDetail observe::CallObservation chat::Param chat::RateLimit ReasoningEffort chat::ReasoningFormat
batch::IterRequests RetryPolicy Role chat::ServerTiming chat::ServiceTier policy::SizeLimits error::TimeoutKind Timeouts chat::Verbosity chat::Warning
batch::IterRequests chat::Continuation chat::Cursor policy::ResumePolicy RetryPolicy Role chat::ServerTiming chat::ServiceTier policy::SizeLimits error::TimeoutKind Timeouts chat::Verbosity chat::Warning
codec::event_stream::EventStreamError codec::http1::Http1Error codec::ndjson::NdjsonError
codec::sse::SseError credentials::CredentialRequest credentials::FileAccess provider::FrameKind provider::FrameOutcome provider::bedrock::CacheTtl
provider::Address provider::AuthStyle provider::MediaKind provider::MediaLimit provider::ProviderDefaults provider::anthropic::AnthropicOptions
provider::gemini::GeminiOptions provider::gemini_interactions::GeminiInteractionsOptions provider::openai_chat::OpenAiChatOptions
provider::openai_responses::OpenAiResponsesOptions provider::openai_chat::EndMarker provider::openai_chat::ChatProfile
provider::openai_chat::ReasoningReplay provider::openai_chat::ValueNaming
provider::IdFormat provider::openai_chat::ForeignCalls provider::openai_chat::MediaPlacement
provider::openai_chat::StreamUsage provider::openai_chat::StructuredOutput
provider::openai_responses::ResponsesProfile provider::HostedToolMapping provider::HostedToolPlace
chat::PartialJsonError cost::AttemptUsage cost::Charge cost::Cost cost::InvalidUsd cost::Ledger cost::Prices cost::Totals cost::Usd policy::Budget
chat::HostedToolKind chat::HostedToolSetting chat::HostedToolUsage schema::Dialect schema::Dialects schema::SchemaChange
schema::Patterns schema::References";

/// Types with request content, which the caller decides to show.
const ASKED: &str = "
provider_batch::BatchCall provider_batch::BatchInput provider_batch::NewBatch provider_batch::NewFile provider_batch::ResultsStep provider_batch::UploadStep
cost::Labels provider_batch::BatchRun sans_io::CallBatchApi provider::EncodedCall provider::ApiRequest sans_io::ApiCall cache::CacheMiss cache::NewCachedContent
ContentPart provider::EncodedEmbedRequest EmbedRequest Json JsonSchema Media Message chat::ProviderBlock chat::ProviderData
chat::UserLocation chat::CompactionSettings ResponseFormat ToolCall ToolChoice chat::ToolFragment ToolResult provider::bedrock::ConverseOptions
provider::bedrock::Guardrail compat::ConverseBlock compat::ConverseMessage compat::ConverseRequest
compat::ConverseTool compat::ConverseToolChoice compat::InferenceConfig compat::InputSchema compat::ToolConfig
compat::ToolResultBlock compat::ToolResultContent compat::ToolUse schema::Adapted";

/// Types with response content. `secrets.rs` tests that errors and logs of attempts do not repeat an echoed key.
const ANSWERED: &str = "
provider_batch::BatchAnswer provider_batch::BatchItem provider_batch::ItemOutcome provider_batch::ProviderBatch
provider_batch::ResultSource provider_batch::RetrieveStep provider_batch::RunState provider_batch::RunStep provider_batch::StoredFile provider::DecodedCall
provider::ApiAnswer provider::ApiResponse cache::CachedContent cache::CachedContentPage cache::CacheVerdict chat::CompactedConversation tokens::TokenCount
chat::PartialJson chat::PartialStream chat::PartialValue cost::LedgerEntry observe::AttemptBilling
transport::testing::Cassette transport::testing::MockBody
sans_io::Accumulator provider::ResponseBuilder chat::Choice chat::Citation chat::Compaction chat::HostedToolCall chat::HostedToolInput
chat::HostedToolResult chat::HostedToolOutput chat::HostedToolError chat::SearchResult chat::FetchedPage chat::CodeOutput
chat::FilePassage compare::ComparisonEntry compare::Comparison EmbedResponse provider::DecodedEmbeddings error::ErrorBody chat::ResponseStart
health::Health sans_io::Input chat::Logprobs Model provider::ModelPage health::ProviderHealth chat::ProviderMetadata chat::RawBody chat::RawHeaders StreamEvent
chat::TokenLogprob chat::TopLogprob UnifiedChatResponse Usage codec::event_stream::EventStreamDecoder
codec::event_stream::HeaderValue codec::event_stream::Message codec::http1::ResponseDecoder
codec::http1::ResponsePart codec::ndjson::NdjsonDecoder codec::sse::SseDecoder codec::sse::SseEvent
provider::Frame compat::BlockDelta compat::BlockStart compat::ConverseEvent compat::ConverseMetrics
compat::ConverseOutput compat::ConverseResponse compat::FoundationModels compat::RawResponse
compat::ReasoningContent compat::ReasoningDelta compat::TokenUsage";

/// Types that contain a key or a caller's header, or could copy one from a response; with the canary inside.
fn held() -> Vec<(&'static str, String)> {
    let mut held = credentials();
    held.extend(providers());
    held.extend(calls());
    held.extend(clients());
    held.extend(provider_for_recording());
    held
}

fn credentials() -> Vec<(&'static str, String)> {
    let secret = Secret::new(KEY).unwrap();
    let ask = secret.clone();
    let aws = AwsCredentials::new("AKIDEXAMPLE", KEY, Some(HEADER.into())).unwrap();
    let signer = Signer::new(aws.clone(), "us-east-1", "bedrock").unwrap();
    vec![
        ("Secret", shown(&secret)),
        (
            "provider::Credential",
            shown(&Credential::Callback(Arc::new(move || Ok(ask.clone())))),
        ),
        (
            "provider::Auth",
            shown(&[Auth::Bearer(secret.into()), Auth::SigV4(signer.clone())]),
        ),
        ("provider::AwsCredentials", shown(&aws)),
        (
            "provider::AwsCredentialSource",
            shown(&AwsCredentialSource::from(aws)),
        ),
        ("provider::Signer", shown(&signer)),
        (
            "credentials::Token",
            shown(&Token::bearer(Secret::new(KEY).unwrap())),
        ),
        (
            "credentials::Credentials",
            shown(&Credentials::from_fn("name", || {
                Ok(Token::bearer(Secret::new(KEY)?))
            })),
        ),
        (
            "credentials::Environment",
            shown(&Environment::new(|_| Some(KEY.to_owned()))),
        ),
        ("credentials::Federation", federation()),
        ("credentials::SubjectToken", federation()),
        (
            "credentials::TokenEndpoint",
            shown(&[
                TokenEndpoint::ibm_cloud(Secret::new(KEY).unwrap()),
                TokenEndpoint::client_credentials("u", "i", Secret::new(KEY).unwrap()),
            ]),
        ),
        ("credentials::Supply", supply()),
        ("credentials::ProcessCommand", supply()),
        ("credentials::Fetcher", fetching()),
    ]
}

/// What a source of credentials sends and wants, as a driver sees it.
fn fetching() -> String {
    let source = Credentials::from_async("name", |fetcher| async move {
        fetcher.hide(KEY);
        let shown = shown(&fetcher);
        let request = http::Request::post("https://auth.test/")
            .body(KEY.into())
            .unwrap();
        let answer = fetcher.send(request).await?;
        Err(unifiedai::Error::new(
            unifiedai::ErrorKind::Authentication,
            format!("{shown} {:?}", answer.body()),
        ))
    });
    let auth = Auth::Bearer(source.into());
    let provider = OpenAiChat::custom("https://x.test/v1")
        .auth(auth)
        .build()
        .unwrap();
    let mut call = Call::new(Arc::new(provider), asked(), once());
    let step = shown(&call.step());
    let exchange = shown(&call.exchange);
    call.head(200, &[]).body(KEY).end();
    let error = call.error();
    format!("{step} {exchange} {error} {error:?}")
}

fn federation() -> String {
    let subject = SubjectToken::Text(Secret::new(KEY).unwrap());
    shown(&subject) + &shown(&Federation::openai("i", "s", subject))
}

fn supply() -> String {
    let environment = Environment::new(|name| match name {
        "HOME" => Some("/home".to_owned()),
        _ => None,
    });
    let provider = OpenAiChat::custom("https://x.test/v1").auth(Auth::SigV4(
        Signer::new(environment.aws_profile("p"), "us-east-1", "bedrock").unwrap(),
    ));
    let mut call = Call::new(Arc::new(provider.build().unwrap()), asked(), once());
    let mut shown_steps = shown(&call.step());
    let config = format!("[profile p]\ncredential_process = program {KEY}\n");
    let input = unifiedai::sans_io::Input::Supplied(Ok(config.into()));
    shown_steps += &shown(&input);
    call.handle(input);
    shown_steps += &shown(&call.step());
    call.handle(unifiedai::sans_io::Input::Supplied(Err(
        std::io::ErrorKind::NotFound.into(),
    )));
    shown_steps += &shown(&call.step());
    shown_steps
}

fn providers() -> Vec<(&'static str, String)> {
    let anthropic = Anthropic::builder().api_key(KEY).unwrap();
    let bedrock = Bedrock::builder().region("us-east-1").api_key(KEY).unwrap();
    let cohere = Cohere::builder().api_key(KEY).unwrap();
    let gemini = Gemini::builder().api_key(KEY).unwrap();
    let interactions = GeminiInteractions::builder().api_key(KEY).unwrap();
    let ollama = Ollama::builder().api_key(KEY).unwrap();
    let chat = OpenAiChat::custom("https://x.test/v1")
        .api_key(KEY)
        .unwrap();
    let chat = chat.header("x-own-key", HEADER).unwrap();
    let responses = OpenAiResponses::builder().profile(openai_responses::ResponsesProfile::OPENAI);
    let responses = responses.api_key(KEY).unwrap();
    let keys = AwsCredentials::new(KEY, KEY, Some(KEY.to_owned())).unwrap();
    let signed = Bedrock::builder().region("us-east-1").credentials(keys);
    vec![
        ("provider::ProviderBuilder", shown(&chat)),
        ("provider::bedrock::BedrockOptions", shown(&signed)),
        // A provider shows its core.
        ("provider::ProviderCore", shown(&signed.build().unwrap())),
        ("provider::Anthropic", shown(&anthropic.build().unwrap())),
        ("provider::Bedrock", shown(&bedrock.build().unwrap())),
        ("provider::Cohere", shown(&cohere.build().unwrap())),
        ("provider::Gemini", shown(&gemini.build().unwrap())),
        (
            "provider::GeminiInteractions",
            shown(&interactions.build().unwrap()),
        ),
        ("provider::Ollama", shown(&ollama.build().unwrap())),
        ("provider::OpenAiChat", shown(&chat.build().unwrap())),
        (
            "provider::OpenAiResponses",
            shown(&responses.build().unwrap()),
        ),
    ]
}

/// An MCP server with a token.
fn mcp_server() -> unifiedai::chat::HostedTool {
    Tool::mcp("files", "https://mcp.test")
        .authorization(KEY)
        .unwrap()
}

fn calls() -> Vec<(&'static str, String)> {
    let target = FallbackTarget::new(provider(), "m");
    let mut call = Call::new(provider(), asked(), once());
    let exchange = shown(&call.exchange);
    let step = call.step();
    let mut refused = Call::new(provider(), asked(), once());
    refused.answer(
        401,
        &[("x-request-id", KEY)],
        &format!(r#"{{"error":"{KEY}"}}"#),
    );
    let error = refused.error();
    let mut tried = Call::new(provider(), asked(), options());
    tried
        .answer(503, &[], &format!(r#"{{"error":"{KEY}"}}"#))
        .sleep();
    tried.answer(200, &[SSE], &[delta("x"), finish(), DONE.into()].concat());
    vec![
        ("ChatRequest", shown(&asked())),
        ("Tool", shown(&Tool::from(mcp_server()))),
        ("chat::HostedTool", shown(&mcp_server())),
        (
            "provider::EncodedRequest",
            shown(&provider().encode_chat(&asked()).unwrap()),
        ),
        ("policy::FallbackTarget", shown(&target)),
        ("policy::Fallback", shown(&Fallback::new(target))),
        ("sans_io::CallStart", shown(&start(1))),
        ("sans_io::AttemptTarget", exchange.clone()),
        ("sans_io::Exchange", exchange),
        ("sans_io::Step", shown(&step)),
        ("Error", format!("{error} {}", shown(&error))),
        ("chat::Attempt", shown(error.attempts())),
        ("chat::CallMetrics", shown(&tried.result().unwrap().metrics)),
    ]
}

fn clients() -> Vec<(&'static str, String)> {
    let blocking = Client::shared(transport::UreqTransport::new(), provider());
    let polled = AsyncClient::shared(transport::HyperTransport::new(), provider());
    let cerebras = Cerebras::new(transport::UreqTransport::new(), KEY).unwrap();
    let completions = cerebras
        .chat()
        .completions()
        .extra_header("x-own-key", HEADER);
    let asynchronous = AsyncCerebras::new(transport::HyperTransport::new(), KEY).unwrap();
    let bedrock = BedrockCompat::from(blocking.clone()).extra_header("x-own-key", HEADER);
    let asked_in_its_shape =
        r#"{"modelId":"m","messages":[{"role":"user","content":[{"text":"x"}]}]}"#;
    let converse = ConverseRequest::from_json(asked_in_its_shape).unwrap();
    let exchange = || {
        let options = Arc::new(options());
        Exchange::new(provider(), Arc::new(asked()), options, start(1)).unwrap()
    };
    let none = std::iter::empty::<((), ChatRequest)>;
    vec![
        ("Client", shown(&blocking)),
        ("AsyncClient", shown(&polled)),
        ("provider::ProviderRegistry", shown(blocking.providers())),
        ("ChatStream", shown(&blocking.stream(asked()).unwrap())),
        ("AsyncChatStream", shown(&polled.stream(asked()).unwrap())),
        (
            "transport::Driver",
            shown(&Driver::new(
                transport::UreqTransport::new(),
                exchange(),
                Time::ZERO,
            )),
        ),
        (
            "transport::AsyncDriver",
            shown(&AsyncDriver::new(
                transport::HyperTransport::new(),
                exchange(),
                Time::ZERO,
            )),
        ),
        (
            "batch::Batch",
            shown(&blocking.batch(none(), BatchOptions::default()).unwrap()),
        ),
        (
            "batch::AsyncBatch",
            shown(&polled.batch(none(), BatchOptions::default()).unwrap()),
        ),
        (
            "compat::CerebrasCompat",
            shown(&cerebras) + &shown(&asynchronous),
        ),
        ("compat::Chat", shown(&cerebras.chat())),
        ("compat::Models", shown(&cerebras.models())),
        (
            "compat::RawModels",
            shown(&cerebras.models().with_raw_response()),
        ),
        ("compat::Completions", shown(&completions)),
        (
            "compat::RawCompletions",
            shown(&completions.with_raw_response()),
        ),
        ("compat::BedrockCompat", shown(&bedrock)),
        (
            "compat::ConverseStream",
            shown(&bedrock.converse_stream(converse.clone()).unwrap()),
        ),
        (
            "compat::AsyncConverseStream",
            shown(
                &BedrockCompat::from(polled.clone())
                    .converse_stream(converse)
                    .unwrap(),
            ),
        ),
    ]
}

fn provider_for_recording() -> Vec<(&'static str, String)> {
    let answer = MockResponse::json(200, WHOLE);
    let shown_answer = shown(&answer);
    let script = MockTransport::new([answer]);
    let recorder = Recorder::new(script.clone(), "cerebras", "openai-chat");
    let mut call = Call::new(provider(), asked(), once());
    let (request, limits) = call.send();
    let request = request.map(RequestBody::from);
    let body = Transport::send(&recorder, request, limits)
        .unwrap()
        .into_body();
    let shown_body = shown(&body);
    drop(body);
    vec![
        ("transport::testing::MockResponse", shown_answer),
        ("transport::testing::MockTransport", shown(&script)),
        ("transport::testing::Recorder", shown(&recorder)),
        ("transport::testing::RecordedBody", shown_body),
    ]
}

fn provider() -> Arc<dyn Provider> {
    Arc::new(OpenAiChat::cerebras(KEY).unwrap())
}

fn asked() -> ChatRequest {
    let mut request = request(true);
    request.headers.push(("x-own-key".into(), HEADER.into()));
    request
}

fn shown(value: &(impl Debug + ?Sized)) -> String {
    format!("{value:?}\n{value:#?}")
}

// F108
#[test]
fn types_with_a_secret_do_not_show_it() {
    for (name, shown) in held() {
        for secret in [KEY, HEADER] {
            // Half of the secret is too much, too.
            for half in [&secret[..12], &secret[secret.len() - 10..]] {
                assert!(!shown.contains(half), "{name} shows {secret}: {shown}");
            }
        }
    }
}

/// The public types by their shortest paths: a type is listed for each path from which it can be imported.
fn public_types(api: &str) -> BTreeSet<&str> {
    let paths: BTreeSet<&str> = api
        .lines()
        .filter(|line| !line.starts_with("pub fn"))
        .filter_map(|line| {
            let kinds = ["pub struct unifiedai::", "pub enum unifiedai::"];
            let at = kinds
                .iter()
                .find_map(|kind| Some(line.find(kind)? + kind.len()))?;
            let end = line[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            Some(&line[at..end.map_or(line.len(), |end| at + end)])
        })
        .collect();
    let name = |path: &str| path.rsplit("::").next().unwrap_or_default().to_owned();
    let depth = |path: &str| path.matches("::").count();
    // Distinct types with the same name.
    let shared = ["Builder", "Profile", "Chat", "Message", "HeaderValue"];
    let again = |path: &str| {
        !shared.contains(&&*name(path))
            && paths
                .iter()
                .any(|other| name(other) == name(path) && depth(other) < depth(path))
    };
    paths.iter().copied().filter(|path| !again(path)).collect()
}

#[test]
fn every_public_type_is_classified() {
    let api = include_str!("../docs/public-api.txt");
    let public = public_types(api);
    assert!(public.len() > 150, "{}", public.len());
    let held = held();
    let held = held.iter().map(|(name, _)| *name);
    let named = [PLAIN, ASKED, ANSWERED]
        .into_iter()
        .flat_map(str::split_whitespace);
    let looked_at: BTreeSet<&str> = held.chain(named).collect();
    let missing: Vec<_> = public.difference(&looked_at).collect();
    let gone: Vec<_> = looked_at.difference(&public).collect();
    assert!(missing.is_empty(), "say what these hold: {missing:?}");
    assert!(gone.is_empty(), "there are none of these: {gone:?}");
}
