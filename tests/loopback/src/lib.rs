//! A provider on 127.0.0.1, for tests, benches and examples.
//!
//! It speaks real wires over real sockets, says something friendly that depends only on the request, and breaks on
//! demand in every way that real providers and the networks before them were seen to break.
//!
//! ```
//! let server = unifiedai_loopback::Loopback::start(unifiedai_loopback::Config::fast())?;
//! assert!(server.base_url().starts_with("http://127.0.0.1:"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | path | wire |
//! |---|---|
//! | `/v1/chat/completions`, `/v1/models`, `/v1/tcp_warming` | Cerebras: strict input, flat errors, no `[DONE]` |
//! | `/openai/v1/chat/completions`, `/openai/v1/embeddings`, `/openai/v1/models` | OpenAI chat: wrapped errors, `null`s, `[DONE]` |
//! | `/as/{service}/v1/chat/completions` and the like | the same with the schemas that another service refuses: `groq`, `xai`, `mistral`, `llama-cpp`, `gemini-openai` |
//! | `/openai/deployments/{name}/...`, with `api-version` | the same as Azure has it: a preamble without choices |
//! | `/v1/responses`, `/openai/v1/responses` | OpenAI Responses |
//! | `/v1/messages`, `/v1/messages/count_tokens`, and `/v1/models` with `anthropic-version` | Anthropic |
//! | `/v1beta/models`, `/v1beta/models/{model}:{method}` | Gemini, as events and as an array |
//! | `/v1/projects/{p}/locations/{l}/publishers/{google or anthropic}/models/{model}:{method}` | Gemini and Anthropic on Vertex AI |
//! | `/v2/chat`, `/v2/embed`, and `/v1/models` with `page_size` | Cohere |
//! | `/api/chat`, `/api/embed`, `/api/tags` | Ollama's own: lines of JSON |
//! | `/model/{id}/converse`, `converse-stream`, `count-tokens`, `invoke` for vectors, `/foundation-models`, `/inference-profiles` | Bedrock, signed where [`Config::aws`] is given |
//!
//! # What it says
//! Nothing is random. A prompt with `fast inference` in it, or none, gets a paragraph; `echo: TEXT` gets TEXT; everything
//! else gets a sentence with the prompt in it. Models with `oss`, `think` or `glm` in their names reason first. A prompt
//! with `tool` in it calls one of the tools that are offered (with `tools`, all of them), with arguments of their schema
//! and the numbers of the prompt; after a result, the answer quotes it. A JSON schema gets an object that fits.
//! Limits and stop sequences are kept. A model `load-N` says exactly N tokens, made once and then sent as they are;
//! `missing...` does not exist; the key `wrong` is wrong.
//!
//! # Faults
//! By the header `x-loopback-fault: SPEC`, by a model named `fault-SPEC`, or by `NAME~SPEC` for the answer of model NAME.
//! In a SPEC, `+` combines faults in one call, `,` gives successive calls different ones (the last repeats, `ok` is none),
//! and `@KEY` behind it starts a count of its own: `status-503,status-429+retry-after=2,ok@mine`.
//!
//! | fault | what happens |
//! |---|---|
//! | `status-NNN`, `code=V` | that status with the wire's error body; V in the place of its usual code |
//! | `context-overflow` | the error for a conversation that is too long |
//! | `litellm-overflow` | the same as a LiteLLM proxy has it: status and code 400, its class in the message alone |
//! | `error-as-event` | status 500, its error body framed as an event |
//! | `retry-after=V`, `retry-after-ms=V`, `should-retry=V` | headers for it |
//! | `flaky-N` | N calls fail with 503, 429, 503, ..., with the headers combined with it; then all is well |
//! | `html-502`, `html-200` | a gateway's HTML page |
//! | `empty-NNN` | that status without a body |
//! | `half-json` | half of the JSON; in a stream half of the events and half of one more; HTTP calls it complete |
//! | `garbage-Nk` | N thousand random bytes |
//! | `error-in-200` | an error object with status 200 |
//! | `error-in-stream-at-N` | an error event (with `code=V`) after N events |
//! | `echo-auth` | 401 with the key in its message |
//! | `redirect-NNN` | a redirect to `/v1/elsewhere` |
//! | `corrupt-at-N` | one bit wrong in the middle of event N, counted from zero |
//! | `cut-at-N` | closed after N bytes of body, framing broken |
//! | `cut-clean-at-N` | ends after N events as if that were all |
//! | `reset-at-N`, `stall-at-N` | reset, or silence, after N events |
//! | `stall-head`, `no-head`, `half-head`, `bad-head` | nothing sent, closed at once, closed in the head, no HTTP |
//! | `pings`, `pings-at-N` | only comments (after N events), without end |
//! | `comments`, `bom`, `crlf` | a comment before each event, a byte order mark, CRLF lines: all harmless |
//! | `endless-line`, `endless-events` | 64 MiB of it |
//! | `drip`, `drip-MS` | one byte a millisecond, or every MS |
//! | `split-bytes-N` | HTTP chunks of N bytes |
//! | `delay=MS` | a late head |
//! | `close-delimited` | the body ends where the connection does |
//! | `wrong-length`, `short-length` | a content length that is too long (then closed), or too short |
//! | `both-lengths` | a content length of 1 beside the right one, or beside chunks |
//! | `http10` | an answer of HTTP/1.0 |
//! | `trailers` | a trailer behind the chunks |
//! | `big-head` | a header of 200,000 bytes |
//! | `extra-bytes` | a second response behind the first |
//! | `close-after` | closed although the head says otherwise |
//! | `1xx` | two interim responses first |
//! | `ctype`, `ctype=V`, `encoding=V` | `text/plain`, or V, as content type; a false content encoding |
//! | `done`, `no-done` | with, or without, the `[DONE]` that this wire has not, or has |
//! | `hold-open-after-done` | `[DONE]`, then silence |
//! | `think-tags` | reasoning inside the content |
//!
//! In a whole answer, which has no events, an N of zero is before the body and any other in its middle.
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

/// How fast answers come.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Until the first token.
    pub first: Duration,
    /// From one token to the next. Zero sends all at once.
    pub each: Duration,
    /// Events in an HTTP chunk where `each` is zero.
    pub coalesce: usize,
}

/// Credentials for the paths of Bedrock, with which requests must be signed.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    /// The public part.
    pub access_key: String,
    /// The secret part.
    pub secret_key: String,
    /// Where given, requests must carry and sign it; `expired` is refused as such.
    pub session_token: Option<String>,
    /// The only region here.
    pub region: String,
    /// A bearer key that is let in without a signature.
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

impl Pace {
    /// Events in an HTTP chunk.
    fn group(&self) -> usize {
        if self.each.is_zero() {
            self.coalesce.max(1)
        } else {
            1
        }
    }
}

/// What a server is like. The default has the pace of a fast provider.
#[derive(Clone, Debug)]
pub struct Config {
    /// Zero picks a free one.
    pub port: u16,
    /// How fast answers come.
    pub pace: Pace,
    /// Whether requests are kept for [`Loopback::requests`].
    pub record: bool,
    /// Threads that serve.
    pub workers: usize,
    /// Where given, the only bearer key that is let in. `wrong` never is.
    pub api_key: Option<String>,
    /// Where given, what the paths of Bedrock ask for. Otherwise they let everybody in but a bearer `wrong`.
    pub aws: Option<AwsKeys>,
    /// The share of chat calls, from 0 to 1, that get a fault of `fault_set`.
    pub fault_rate: f64,
    /// The same seed draws the same faults.
    pub fault_seed: u64,
    /// Faults to draw from.
    pub fault_set: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            pace: Pace {
                first: Duration::from_millis(30),
                each: Duration::from_millis(1),
                coalesce: 1,
            },
            record: true,
            workers: 1,
            api_key: None,
            aws: None,
            fault_rate: 0.0,
            fault_seed: 0,
            fault_set: Vec::new(),
        }
    }
}

impl Config {
    /// Without any waiting, for tests.
    pub fn fast() -> Self {
        Self {
            pace: Pace {
                first: Duration::ZERO,
                each: Duration::ZERO,
                coalesce: 1,
            },
            ..Self::default()
        }
    }

    /// Without waiting and without keeping requests, for benches.
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
    /// Starts a server on 127.0.0.1 with threads of its own; also from inside another runtime.
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

    /// `http://127.0.0.1:PORT/v1`, what a client of the OpenAI flavour calls its base URL.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.state.origin)
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub fn origin(&self) -> String {
        self.state.origin.clone()
    }

    /// `https://127.0.0.1:PORT/v1`: the same provider over TLS. HTTP/2 is spoken with clients that offer it by ALPN, and
    /// HTTP/1.1 with all others. Faults that break HTTP/1.1 itself end an HTTP/2 stream with an error.
    #[cfg(feature = "tls")]
    pub fn tls_base_url(&self) -> String {
        format!("https://{}/v1", self.tls.address())
    }

    /// The certificate, as PEM, that a client has to trust to reach [`Loopback::tls_base_url`].
    #[cfg(feature = "tls")]
    pub fn tls_root_pem(&self) -> &str {
        self.tls.root_pem()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far (the last 10,000), in the order in which they were complete.
    pub fn requests(&self) -> Vec<Request> {
        self.state
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.accepted.load(Relaxed)
    }

    /// Connections open now.
    pub fn open_connections(&self) -> u64 {
        self.state.open.load(Relaxed)
    }

    /// Calls answered so far, whatever the answer.
    pub fn served(&self) -> u64 {
        self.state.served.load(Relaxed)
    }

    /// Responses whose client left before their end.
    pub fn aborted(&self) -> u64 {
        self.state.aborted.load(Relaxed)
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    // Ten thousand clients that connect at once must not wait for a second SYN.
    socket.listen(16_384)
}

impl Drop for Loopback {
    fn drop(&mut self) {
        // The one way to end a runtime that is allowed inside another one, too.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What all connections share.
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
