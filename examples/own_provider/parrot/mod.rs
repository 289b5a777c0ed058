//! The API of Parrot, a server that does not exist. Its fields, events and errors have names of its own.

mod decode;
mod encode;

use bytes::Bytes;
use http::{Request, response};
use serde::Deserialize;
use unifiedai::{
    ChatRequest, Error, ErrorKind, Model,
    provider::{
        Auth, BuildProvider, ChatDecoder, EncodedRequest, Framing, ModelPage, Provider,
        ProviderBuilder, ProviderCore, ProviderDefaults, errors,
    },
};

#[derive(Clone, Debug)]
pub(crate) struct Parrot(ProviderCore);

impl Parrot {
    pub(crate) fn builder() -> ProviderBuilder<Self> {
        ProviderBuilder::new()
    }
}

/// The builder has the options of every provider: key, address, name, headers. It refuses a key over `http://`.
impl BuildProvider for Parrot {
    type Options = ();

    fn defaults((): &()) -> ProviderDefaults {
        ProviderDefaults::new("parrot", "https://parrot.test/v1", "PARROT_API_KEY")
    }

    fn from_core(core: ProviderCore, (): ()) -> Result<Self, Error> {
        Ok(Parrot(core))
    }
}

impl Provider for Parrot {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn auth(&self) -> &Auth {
        self.0.auth()
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        let (body, warnings) = encode::body(self.name(), request)?;
        let framing = match request.stream {
            true => Framing::Sse,
            false => Framing::SingleBody,
        };
        let url = self.0.url("/talk")?;
        Ok(self.0.post_chat(url, body, framing, warnings))
    }

    fn chat_decoder(&self, _: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::ParrotDecoder)
    }

    fn decode_error(&self, head: &response::Parts, body: &Bytes) -> Error {
        // Reads the shapes that most servers use, HTML of a proxy, an empty body.
        let usual = errors::from_http(head, body);
        match serde_json::from_slice(body) {
            Ok(Failure { squawk }) => squawk.error(usual.kind()),
            Err(_) => usual,
        }
    }

    fn encode_models(&self, _page: Option<&str>) -> Result<Request<Bytes>, Error> {
        self.0.get("/birds")
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        let list: Birds = read_json(body)?;
        let models = list.birds.into_iter();
        let models = models.map(|bird| Model::new(self.name(), bird)).collect();
        Ok(ModelPage::new(models, None))
    }
}

/// `{"birds": ["ara", "kea"]}`
#[derive(Deserialize)]
struct Birds {
    birds: Vec<String>,
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

impl Squawk {
    /// The kind decides whether the call is retried. A code that is not known here has the kind that `other` says.
    fn error(&self, other: ErrorKind) -> Error {
        let kind = match self.code.as_str() {
            "tired" => ErrorKind::Overloaded,
            "hungry" => ErrorKind::QuotaExceeded,
            "stranger" => ErrorKind::Authentication,
            _ => other,
        };
        Error::new(kind, &self.text).with_code(&self.code)
    }
}

/// JSON that ends too early was cut off. A missing field violates the protocol.
fn read_json<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(data).map_err(|error| {
        let kind = match error.is_eof() {
            true => ErrorKind::Truncated,
            false => ErrorKind::Protocol,
        };
        Error::new(kind, format!("the JSON of Parrot cannot be read: {error}"))
    })
}
