//! A provider on 127.0.0.1, for tests, benches and examples.
//!
//! It speaks the providers' protocols over real sockets, gives responses that depend only on the request, and
//! produces on demand every fault that was seen in real providers and networks.
//!
//! ```
//! let server = unifiedai_loopback::Loopback::start(unifiedai_loopback::Config::fast())?;
//! assert!(server.base_url().starts_with("http://127.0.0.1:"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | path | protocol |
//! |---|---|
//! | `/v1/chat/completions`, `/v1/models`, `/v1/tcp_warming` | Cerebras: strict input, flat errors, no `[DONE]` |
//! | `/openai/v1/chat/completions`, `/openai/v1/embeddings`, `/openai/v1/models` | OpenAI chat: wrapped errors, `null`s, `[DONE]` |
//! | `/as/{service}/v1/chat/completions` and similar | the same with the schemas that another service refuses: `groq`, `xai`, `mistral`, `llama-cpp`, `gemini-openai` |
//! | `/openai/deployments/{name}/...`, with `api-version` | the same in Azure's form: a preamble without choices |
//! | `/v1/responses`, `/openai/v1/responses`, behind them `/{id}` and `/{id}/cancel` | OpenAI Responses, also in the background |
//! | `/v1/messages`, `/v1/messages/count_tokens`, and `/v1/models` with `anthropic-version` | Anthropic |
//! | `/v1beta/models`, `/v1beta/models/{model}:{method}` | Gemini, as events and as an array |
//! | `/v1beta/interactions`, `/v1beta1/projects/{p}/locations/{l}/interactions` | Gemini Interactions, also on Vertex AI |
//! | `/v1/projects/{p}/locations/{l}/publishers/{google or anthropic}/models/{model}:{method}` | Gemini and Anthropic on Vertex AI |
//! | `/v2/chat`, `/v2/embed`, and `/v1/models` with `page_size` | Cohere |
//! | `/api/chat`, `/api/embed`, `/api/tags` | Ollama's own: JSON lines |
//! | `/v1/files`, `/v1/batches`, the same behind `/openai`, `/openai/v1/batch/jobs`, `/v1/messages/batches`, `/v1beta/models/{model}:batchGenerateContent`, `/v1beta/batches` | the batch APIs of OpenAI, Mistral, Anthropic and Gemini; lines with `batch fault: lost`, `batch fault: expired` or `batch fault: status-NNN` in their text have no result, expire, or are refused |
//! | `/v1/responses/input_tokens`, `/v1/responses/compact`, the same behind `/openai`, `/as/{service}/tokenize`, `/as/{service}/apply-template` | token counts and compactions of OpenAI; the tokenizers of llama.cpp and vLLM |
//! | `/v1beta/cachedContents`, `/v1/projects/{p}/locations/{l}/cachedContents` | Gemini's cached contents, also on Vertex AI; they need 8 tokens, and a list has pages of two |
//! | `/model/{id}/converse`, `converse-stream`, `count-tokens`, `invoke` for vectors, `/foundation-models`, `/inference-profiles` | Bedrock, signed if [`Config::aws`] is set |
//! | `/model-invocation-job`, `/model-invocation-jobs`, `/s3/{bucket}/{key}` | batches of Bedrock, and the objects of S3 that they need, signed likewise |
//!
//! # Responses
//! Nothing is random. A prompt that contains `fast inference`, or no prompt, gets a paragraph; `echo: TEXT` gets
//! TEXT; any other prompt gets a sentence that quotes it. Models with `oss`, `think` or `glm` in their names reason
//! first. A prompt that contains `tool` calls one of the offered tools (with `tools`, all of them), with arguments of
//! their schema and the numbers of the prompt; after a result, the response quotes it. A JSON schema gets a matching
//! object. Limits and stop sequences are applied. A model `load-N` generates exactly N tokens, which are prepared
//! once; `missing...` does not exist; the key `wrong` is refused.
//!
//! Anthropic's API reports the cache: a beginning that ends with `cache_control` is `cache_creation_input_tokens` when it is
//! first seen and `cache_read_input_tokens` afterwards (the last 1,024 are known). The other APIs report no cached tokens.
//!
//! With `background`, OpenAI Responses keeps the response: its first reading says `in_progress`, later ones have it complete, and its stream can be
//! read from any event. A model `stale...` is no longer streamed, the response of a model `expired...` is removed at once. Anthropic's API answers a
//! prompt with `pause: N` in N + 1 turns, all but the last of which end with `pause_turn`.
//!
//! # Faults
//! A fault is selected by the header `x-loopback-fault: SPEC`, by a model named `fault-SPEC`, or by `NAME~SPEC` for a
//! response of model NAME. In a SPEC, `+` combines faults in one call, `,` gives successive calls different ones (the
//! last repeats, `ok` is none), and `@KEY` at the end starts a separate count:
//! `status-503,status-429+retry-after=2,ok@mine`.
//!
//! | fault | what happens |
//! |---|---|
//! | `status-NNN`, `code=V` | that status with the API's error body; V replaces its usual code. With 503, Cerebras' code says "overloaded", OpenAI's does not |
//! | `context-overflow` | the error for a conversation that is too long |
//! | `litellm-overflow` | the same in a LiteLLM proxy's form: status and code 400, its class only in the message |
//! | `error-as-event` | status 500, its error body framed as an event |
//! | `retry-after=V`, `retry-after-ms=V`, `should-retry=V` | headers for it |
//! | `flaky-N` | N calls fail with 503, 429, 503, ..., with the headers combined with it; later calls succeed |
//! | `html-502`, `html-200` | a gateway's HTML page |
//! | `empty-NNN` | that status without a body |
//! | `half-json` | half of the JSON; in a stream half of the events and half of one more; HTTP framing calls it complete |
//! | `garbage-Nk` | N thousand random bytes |
//! | `error-in-200` | an error object with status 200 |
//! | `error-in-stream-at-N` | an error event (with `code=V`) after N events |
//! | `echo-auth` | 401 with the key in its message |
//! | `redirect-NNN` | a redirect to `/v1/elsewhere` |
//! | `corrupt-at-N` | one flipped bit in the middle of event N, counted from zero |
//! | `cut-at-N` | closed after N bytes of body, framing broken |
//! | `cut-clean-at-N` | ends after N events like a complete response |
//! | `reset-at-N`, `stall-at-N` | reset, or no more data, after N events |
//! | `stall-head`, `no-head`, `half-head`, `bad-head` | nothing sent, closed immediately, closed in the headers, not HTTP |
//! | `pings`, `pings-at-N` | only comments (after N events), endlessly |
//! | `comments`, `bom`, `crlf` | a comment before each event, a byte order mark, CRLF lines: all harmless |
//! | `endless-line`, `endless-events` | 64 MiB of data |
//! | `drip`, `drip-MS` | one byte per millisecond, or every MS |
//! | `split-bytes-N` | HTTP chunks of N bytes |
//! | `delay=MS` | late headers |
//! | `close-delimited` | the body ends with the connection |
//! | `wrong-length`, `short-length` | a content length that is too long (then closed), or too short |
//! | `both-lengths` | a content length of 1 in addition to the right one, or to chunks |
//! | `http10` | an HTTP/1.0 response |
//! | `trailers` | a trailer after the chunks |
//! | `big-head` | a header of 200,000 bytes |
//! | `extra-bytes` | a second response after the first |
//! | `close-after` | closed although the headers announce keep-alive |
//! | `1xx` | two interim responses first |
//! | `ctype`, `ctype=V`, `encoding=V` | `text/plain`, or V, as content type; a wrong content encoding |
//! | `done`, `no-done` | with, or without, the `[DONE]` that this API lacks, or has |
//! | `hold-open-after-done` | `[DONE]`, then no more data |
//! | `think-tags` | reasoning inside the content |
//!
//! In a single-body response, which has no events, an N of zero is before the body and any other in its middle.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![expect(
    clippy::disallowed_methods,
    reason = "a server has a clock and threads of its own"
)]

mod fault;
mod http;
mod protocol;
mod response;
mod script;
#[cfg(feature = "tls")]
mod tls;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};

pub use http::Request;
pub use protocol::{schema_refusal, tool_refusal};

/// The speed of responses.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Time to the first token.
    pub first: Duration,
    /// Time between two tokens. Zero sends all together.
    pub each: Duration,
    /// Events of a stream in one HTTP chunk, at least 1. Only if `each` is zero: otherwise each event has its own chunk.
    pub coalesce: usize,
}

/// Credentials for the Bedrock paths, with which requests must be signed.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    /// The public part.
    pub access_key: String,
    /// The secret part.
    pub secret_key: String,
    /// If set, requests must carry and sign it; `expired` is refused as expired.
    pub session_token: Option<String>,
    /// The only region.
    pub region: String,
    /// A bearer key that is accepted without a signature.
    pub api_key: Option<String>,
}

impl Default for AwsKeys {
    /// `AKIDLOOPBACK` with the secret `loopback-secret` in us-east-1, and the bearer key `loopback-key`.
    fn default() -> Self {
        Self {
            access_key: "AKIDLOOPBACK".to_owned(),
            secret_key: "loopback-secret".to_owned(),
            session_token: None,
            region: "us-east-1".to_owned(),
            api_key: Some("loopback-key".to_owned()),
        }
    }
}

impl Default for Pace {
    /// A fast provider: 30 ms to the first token, 1 ms between two, an HTTP chunk for each event.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(30),
            each: Duration::from_millis(1),
            coalesce: 1,
        }
    }
}

impl Pace {
    /// Events per HTTP chunk.
    fn group(&self) -> usize {
        if self.each.is_zero() {
            self.coalesce.max(1)
        } else {
            1
        }
    }
}

/// The behaviour of a server. The default has the speed of a fast provider.
#[derive(Clone, Debug)]
pub struct Config {
    /// Zero selects a free one.
    pub port: u16,
    /// The speed of responses.
    pub pace: Pace,
    /// Whether requests are kept for [`Loopback::requests`].
    pub record: bool,
    /// Worker threads.
    pub workers: usize,
    /// If set, the only accepted bearer key. `wrong` is never accepted.
    pub api_key: Option<String>,
    /// If set, the credentials that the Bedrock paths require. Otherwise they accept every request except a bearer
    /// key `wrong`.
    pub aws: Option<AwsKeys>,
    /// The share of chat, batch and file calls, from 0 to 1, that get a fault of `fault_set`. A call of a batch API with a fault
    /// is processed, unless its status says that it was refused.
    pub fault_rate: f64,
    /// The same seed draws the same faults.
    pub fault_seed: u64,
    /// The faults to draw from.
    pub fault_set: Vec<String>,
    /// The time from one state of a batch to the next.
    pub batch_step: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            pace: Pace::default(),
            record: true,
            workers: 1,
            api_key: None,
            aws: None,
            fault_rate: 0.0,
            fault_seed: 0,
            fault_set: Vec::new(),
            batch_step: Duration::from_millis(200),
        }
    }
}

impl Config {
    /// No delays, for tests.
    pub fn fast() -> Self {
        Self {
            pace: Pace {
                first: Duration::ZERO,
                each: Duration::ZERO,
                coalesce: 1,
            },
            batch_step: Duration::from_millis(5),
            ..Self::default()
        }
    }

    /// No delays and no recorded requests, for benches.
    pub fn load() -> Self {
        Self {
            record: false,
            ..Self::fast()
        }
    }
}

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    #[cfg(feature = "tls")]
    tls: tls::Front,
    state: Arc<State>,
    runtime: Option<Runtime>,
}

impl Loopback {
    /// Starts a server on 127.0.0.1 with its own threads; works inside another runtime too.
    pub fn start(config: Config) -> io::Result<Self> {
        let chooser = fault::Chooser::new(config.fault_rate, config.fault_seed, &config.fault_set)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.workers.max(1))
            .thread_name("loopback")
            .thread_stack_size(512 << 10)
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            listen(config.port)?
        };
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            origin: format!("http://{address}"),
            pace: config.pace,
            record: config.record,
            api_key: config.api_key,
            aws: config.aws,
            chooser,
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            served: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
            requests: Mutex::default(),
            loads: Mutex::default(),
            batch_step: config.batch_step,
            batches: Mutex::default(),
            prompt_cache: Mutex::default(),
            cached_contents: Mutex::default(),
            kept: Mutex::default(),
        });
        runtime.spawn(http::accept(listener, state.clone()));
        #[cfg(feature = "tls")]
        let tls = {
            let _inside = runtime.enter();
            tls::Front::start(address)?
        };
        Ok(Self {
            address,
            #[cfg(feature = "tls")]
            tls,
            state,
            runtime: Some(runtime),
        })
    }

    /// `http://127.0.0.1:PORT/v1`: the base URL of a strict server with OpenAI's chat API, in Cerebras' form. It refuses
    /// fields and values that Cerebras refuses, and its errors have Cerebras' codes. For a client of OpenAI itself, or of
    /// another API, see [`provider_url`](Self::provider_url).
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.state.origin)
    }

    /// The base URL at which this server plays a provider: `openai`, `azure`, `anthropic`, `gemini`,
    /// `gemini-interactions`, `vertex`, `cohere`, `ollama`, `bedrock`, `cerebras`, `openai-responses` and other names of `unifiedai`. Any other name is a server
    /// with OpenAI's chat API, in OpenAI's form.
    ///
    /// ```
    /// let server = unifiedai_loopback::Loopback::start(unifiedai_loopback::Config::fast())?;
    /// assert_eq!(server.provider_url("openai"), server.origin() + "/openai/v1");
    /// assert_eq!(server.provider_url("gemini"), server.origin() + "/v1beta");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn provider_url(&self, name: &str) -> String {
        let path = match name {
            "bedrock" | "cohere" | "ollama" => "",
            "cerebras" | "anthropic" | "azure-anthropic" | "vertex" | "vertex-anthropic" => "/v1",
            "gemini" | "gemini-interactions" => "/v1beta",
            "vertex-interactions" => "/v1beta1",
            "azure" => "/openai/deployments/gpt-loopback",
            name if name.ends_with("-responses") => "/v1",
            _ => "/openai/v1",
        };
        [&self.state.origin, path].concat()
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub fn origin(&self) -> String {
        self.state.origin.clone()
    }

    /// `https://127.0.0.1:PORT/v1`: the same provider over TLS. It speaks HTTP/2 with clients that offer it by ALPN,
    /// and HTTP/1.1 with all others. Faults that break HTTP/1.1 itself end an HTTP/2 stream with an error.
    #[cfg(feature = "tls")]
    pub fn tls_base_url(&self) -> String {
        format!("https://{}/v1", self.tls.address())
    }

    /// The certificate, as PEM, that a client must trust for [`Loopback::tls_base_url`].
    #[cfg(feature = "tls")]
    pub fn tls_root_pem(&self) -> &str {
        self.tls.root_pem()
    }

    /// The address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far (the last 10,000), in the order of completion.
    pub fn requests(&self) -> Vec<Request> {
        self.state
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    /// The batches that were made, each as the ids of its requests.
    pub fn batches(&self) -> Vec<Vec<String>> {
        let store = self.state.batches.lock();
        let store = store.unwrap_or_else(PoisonError::into_inner);
        let ids = |batch: &protocol::batches::Batch| {
            batch.lines.iter().map(|(id, _)| id.clone()).collect()
        };
        store.batches.iter().map(ids).collect()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.accepted.load(Relaxed)
    }

    /// Connections open now.
    pub fn open_connections(&self) -> u64 {
        self.state.open.load(Relaxed)
    }

    /// Responses so far, of any status.
    pub fn served(&self) -> u64 {
        self.state.served.load(Relaxed)
    }

    /// Responses whose client disconnected before the end.
    pub fn aborted(&self) -> u64 {
        self.state.aborted.load(Relaxed)
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    // Ten thousand clients that connect together must not wait for a second SYN.
    socket.listen(16_384)
}

impl Drop for Loopback {
    fn drop(&mut self) {
        // The only way to end a runtime that is allowed inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// State that all connections share.
struct State {
    origin: String,
    pace: Pace,
    record: bool,
    api_key: Option<String>,
    aws: Option<AwsKeys>,
    chooser: fault::Chooser,
    accepted: AtomicU64,
    open: AtomicU64,
    served: AtomicU64,
    aborted: AtomicU64,
    requests: Mutex<VecDeque<Request>>,
    loads: Mutex<HashMap<String, protocol::Content>>,
    batch_step: Duration,
    batches: Mutex<protocol::batches::Store>,
    prompt_cache: Mutex<protocol::prompt_cache::PromptCache>,
    cached_contents: Mutex<protocol::small_calls::CachedContents>,
    kept: Mutex<protocol::kept::Kept>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl State {
    fn remember(&self, request: Request) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == 10_000 {
            requests.pop_front();
        }
        requests.push_back(request);
    }
}
