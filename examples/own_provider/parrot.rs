use bytes::Bytes;
use http::response;
use serde::Deserialize;
use serde_json::json;
use unifiedai::{
    ChatRequest, Error, ErrorKind, FinishReason, Usage,
    chat::{Param, Warning},
    provider::{
        Auth, BuildProvider, ChatDecoder, EncodedRequest, Frame, FrameOutcome, Framing, Provider,
        ProviderBuilder, ProviderCore, ProviderDefaults, ResponseBuilder,
    },
};

/// The message has no block index in this API, so all of it has one key.
const KEY: u32 = 0;

/// The API of Parrot, a server that does not exist: it has events and errors of its own.
#[derive(Clone, Debug)]
pub(crate) struct Parrot {
    core: ProviderCore,
}

impl Parrot {
    pub(crate) fn new(key: &str) -> Result<Self, Error> {
        Self::builder().api_key(key)?.build()
    }

    pub(crate) fn builder() -> ProviderBuilder<Self> {
        ProviderBuilder::new()
    }
}

impl BuildProvider for Parrot {
    type Options = ();

    fn defaults((): &()) -> ProviderDefaults {
        ProviderDefaults::new("parrot", "https://parrot.test/v1", "PARROT_API_KEY")
    }

    fn from_core(core: ProviderCore, (): ()) -> Result<Self, Error> {
        Ok(Parrot { core })
    }
}

impl Provider for Parrot {
    fn name(&self) -> &str {
        self.core.name()
    }

    fn auth(&self) -> &Auth {
        self.core.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        let mut warnings = Vec::new();
        // Each parameter is sent, refused by name, or dropped with a warning; none is ignored.
        for param in request.params() {
            let refusal = format!("`parrot` does not support `{}`", param.name());
            match param {
                Param::MaxTokens => {}
                _ if request.drop_unsupported => {
                    warnings.push(Warning::new("unsupported_parameter", refusal));
                }
                _ => return Err(Error::new(ErrorKind::InvalidRequest, refusal)),
            }
        }
        let lines: Vec<_> = request
            .messages
            .iter()
            .map(|message| json!({"who": message.role, "says": message.text()}))
            .collect();
        let body = json!({
            "bird": request.model,
            "lines": lines,
            "limit": request.max_tokens,
            "live": request.stream,
        });
        let framing = match request.stream {
            true => Framing::Sse,
            false => Framing::SingleBody,
        };
        let uri = self.core.url("/talk")?;
        Ok(self
            .core
            .post_chat(uri, body.to_string(), framing, warnings))
    }

    fn chat_decoder(&self, _: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(ParrotDecoder)
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        match serde_json::from_slice(body) {
            Ok(Failure { squawk }) => error(&squawk).with_status(head.status.as_u16()),
            // The shapes that most servers use, HTML of a proxy, an empty body.
            Err(_) => unifiedai::provider::errors::from_http(head, body),
        }
    }
}

/// `{"squawk": {"code": "tired", "text": "..."}}`
#[derive(Deserialize)]
struct Failure {
    squawk: Squawk,
}

#[derive(Deserialize)]
struct Squawk {
    code: String,
    text: String,
}

fn error(squawk: &Squawk) -> Error {
    let kind = match squawk.code.as_str() {
        "tired" => ErrorKind::Overloaded, // is tried again
        "hungry" => ErrorKind::QuotaExceeded,
        "stranger" => ErrorKind::Authentication,
        _ => ErrorKind::BadRequest,
    };
    Error::new(kind, &squawk.text).with_code(&squawk.code)
}

/// A delta, the end, or a whole response: the members that are there say which.
#[derive(Deserialize)]
struct Speech {
    #[serde(default)]
    text: String,
    why: Option<String>,
    heard: Option<u64>,
    said: Option<u64>,
}

/// One is made for each attempt. This API needs no state between two events.
struct ParrotDecoder;

impl ParrotDecoder {
    fn read(&self, data: &[u8], out: &mut ResponseBuilder) -> Result<FrameOutcome, Error> {
        let speech: Speech = serde_json::from_slice(data).map_err(|e| {
            // JSON that ends too early was cut: it is never a shorter response.
            let kind = match e.is_eof() {
                true => ErrorKind::Truncated,
                false => ErrorKind::Protocol,
            };
            Error::new(kind, format!("not what Parrot says: {e}"))
        })?;
        out.text(0, KEY, speech.text)?;
        let Some(why) = speech.why else {
            return Ok(FrameOutcome::Continue);
        };
        let reason = match why.as_str() {
            "done" => FinishReason::Stop,
            "limit" => FinishReason::Length,
            other => FinishReason::Other(other.to_owned()),
        };
        let mut usage = Usage::default();
        usage.prompt_tokens = speech.heard;
        usage.completion_tokens = speech.said;
        out.usage(usage);
        out.finish(0, Some(reason), &why)?;
        Ok(FrameOutcome::Complete)
    }
}

impl ChatDecoder for ParrotDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        match frame.name {
            "flap" => Ok(FrameOutcome::KeepAlive),
            "squawk" => Err(match serde_json::from_str(frame.data) {
                Ok(squawk) => error(&squawk),
                Err(_) => {
                    unifiedai::provider::errors::from_event(frame.name, frame.data.as_bytes())
                }
            }),
            _ => self.read(frame.data.as_bytes(), out),
        }
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        self.read(body, out).map(drop)
    }
}
