//! OpenAI's Responses API, as OpenAI and others serve it.
//!
//! An answer is a list of items. Text, refusals, reasoning and function calls become parts of one message; every other item
//! (tools that the provider runs, compactions) is an opaque part, and so is each reasoning item as a whole: pushed back into
//! the next request's messages, they go to the provider as they came and in their order.

mod arguments;
mod calls;
mod decode;
mod encode;
mod encode_items;
mod items;
mod output_items;
mod parts;
mod profile;
mod streamed;
mod texts;
mod types;
mod unclosed;
mod unknown;
mod usage;

use super::{
    BaseUrl, ChatDecoder, EncodedRequest, Framing, ModelPage, Provider,
    call_ids::{self, Links},
    model_ids,
    openai_chat::{AuthStyle, models},
    requests::{self, ProviderDefaults},
    tool_names,
};
use crate::{
    ChatRequest, Error, ErrorKind, Model, Secret, codec::percent::encode_segment, provider::Auth,
    schema,
};
use bytes::Bytes;
use http::{HeaderName, Request, Uri};
use std::borrow::Cow;

pub use profile::ResponsesProfile;

/// A server that speaks the Responses API.
///
/// What a [`ChatRequest`] has no field for goes into [`extra`](ChatRequest::extra): `previous_response_id`,
/// `include` (`["reasoning.encrypted_content"]` is asked for by itself with `store(false)` if the request shows that the
/// model reasons),
/// `reasoning` with a `summary`, `truncation`, `max_tool_calls`.
#[derive(Clone, Debug)]
pub struct OpenAiResponses {
    profile: ResponsesProfile,
    name: Cow<'static, str>,
    auth: Auth,
    base_url: BaseUrl,
    responses: Uri,
}

impl OpenAiResponses {
    /// OpenAI with a key.
    ///
    /// # Errors
    /// `invalid_request` if the key cannot be one.
    pub fn openai(key: impl Into<String>) -> Result<Self, Error> {
        Self::builder(ResponsesProfile::OPENAI)
            .api_key(key)?
            .build()
    }

    /// A server with a profile, to be given a key or another address.
    #[must_use]
    pub fn builder(profile: ResponsesProfile) -> OpenAiResponsesBuilder {
        OpenAiResponsesBuilder {
            profile,
            name: None,
            auth: Auth::None,
            base_url: None,
            insecure_http: false,
        }
    }

    /// What this server does differently.
    #[must_use]
    pub fn profile(&self) -> &ResponsesProfile {
        &self.profile
    }

    /// The address that the paths of its operations are put behind.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }
}

/// Makes an [`OpenAiResponses`].
#[derive(Clone, Debug)]
pub struct OpenAiResponsesBuilder {
    profile: ResponsesProfile,
    name: Option<String>,
    auth: Auth,
    base_url: Option<String>,
    insecure_http: bool,
}

impl OpenAiResponsesBuilder {
    /// The key.
    ///
    /// # Errors
    /// `invalid_request` if it cannot be one: empty, with line breaks or spaces.
    pub fn api_key(mut self, key: impl Into<String>) -> Result<Self, Error> {
        let credential = Secret::new(key)?.into();
        self.auth = match self.profile.auth {
            AuthStyle::Bearer => Auth::Bearer(credential),
            AuthStyle::Header(name) => Auth::Header(HeaderName::from_static(name), credential),
        };
        Ok(self)
    }

    /// Another way to authenticate, such as a token that is asked for anew each time.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Another address than the profile's.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Lets the key travel over `http://` to another machine, unencrypted: for servers in a network that you trust, such as
    /// `http://vllm:8000`.
    #[must_use]
    pub fn allow_insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// Another name than the profile's, by which errors and responses call it.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The provider.
    ///
    /// # Errors
    /// `invalid_request` if the key is missing although the profile's own address needs one, if the address is not one,
    /// or if the key would travel unencrypted.
    pub fn build(self) -> Result<OpenAiResponses, Error> {
        let profile = self.profile;
        let place = ProviderDefaults {
            name: profile.name,
            base_url: profile.base_url,
            key_env: profile.key_env,
            key_optional: profile.key_optional,
        };
        let base_url = place.base_url(self.base_url.as_deref(), &self.auth, self.insecure_http)?;
        Ok(OpenAiResponses {
            responses: base_url.join("/responses")?,
            name: self.name.map_or(Cow::Borrowed(profile.name), Cow::Owned),
            profile,
            auth: self.auth,
            base_url,
        })
    }
}

impl Provider for OpenAiResponses {
    fn owns_model(&self, model: &str) -> bool {
        let vendors = model_ids::vendors_at(&self.base_url, self.profile.vendors);
        model_ids::has_vendor_prefix(model, vendors)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn auth(&self) -> &Auth {
        &self.auth
    }

    fn encode_chat(&self, request: &ChatRequest) -> Result<EncodedRequest, Error> {
        tool_names::check(&self.name, &request.tools, self.profile.tool_name)?;
        // With one of these the server has earlier turns.
        let continues = |(name, _): &(String, _)| {
            ["previous_response_id", "conversation"].contains(&name.as_str())
        };
        let has_earlier_calls = request.extra.iter().any(continues);
        let links = Links {
            has_earlier_calls,
            ..Links::new(self.profile.call_id)
        };
        let links = links.with_results(&self.name, self.profile.results_wanted);
        let request = &*call_ids::fit(request, links)?;
        let (request, altered) = schema::fit(request, &self.name, self.profile.schemas)?;
        let request = &*request;
        let (body, mut warnings) = encode::body(&self.profile, &self.name, request)?;
        warnings.extend(altered);
        let (accept, framing) = if request.stream {
            (super::EVENT_STREAM, Framing::Sse)
        } else {
            (super::JSON, Framing::SingleBody)
        };
        let mut encoded = EncodedRequest::new(
            requests::post(self.responses.clone(), body, accept),
            framing,
        );
        encoded.warnings = warnings;
        Ok(encoded)
    }

    fn chat_decoder(&self, _request: &ChatRequest) -> Box<dyn ChatDecoder> {
        Box::new(decode::ResponsesDecoder::new(&self.name))
    }

    fn encode_models(&self, _page: Option<&str>) -> Result<Request<Bytes>, Error> {
        Ok(requests::get(self.base_url.join("/models")?))
    }

    fn decode_models(&self, body: &Bytes) -> Result<ModelPage, Error> {
        models::decode_list(&self.name, body)
    }

    fn encode_model(&self, id: &str) -> Result<Request<Bytes>, Error> {
        let path: Option<Vec<String>> = id.split('/').map(encode_segment).collect();
        let path = path.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("`{}` is not a model's id", id.escape_debug()),
            )
        })?;
        Ok(requests::get(
            self.base_url
                .join(&["/models/", &path.join("/")].concat())?,
        ))
    }

    fn decode_model(&self, body: &Bytes) -> Result<Model, Error> {
        models::decode_one(&self.name, body)
    }
}
