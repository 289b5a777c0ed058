use super::{AttemptTarget, CallStart, Exchange, sealed::Operation};
use crate::{
    CallOptions, EmbedRequest, EmbedResponse, Error, ErrorKind, StreamEvent, Usage,
    chat::{CallMetrics, ProviderMetadata, RawBody, ServerTiming},
    cost::BilledTokens,
    provider::{
        DecodedEmbeddings, EncodedEmbedRequest, Frame, FrameOutcome, Framing, Provider,
        kit::embed::{is_too_large, most_texts},
    },
};
use bytes::Bytes;
use http::{Method, Request};
use std::{fmt, sync::Arc};
use unifiedai_transport::RequestBody;

/// Turns texts into vectors, in batches of the provider's size.
pub struct Embed {
    batch: Box<EncodedEmbedRequest>,
    /// The most texts of a request: so that the answer is not too large, and less once the server has refused a request for its
    /// size.
    most: usize,
    /// The limit of a body.
    body_limit: usize,
    response: EmbedResponse,
    /// The tokens of the last attempt, if it succeeded.
    billed: Option<Usage>,
    raw: Option<RawBody>,
}

impl Exchange<Embed> {
    /// Creates a call for the vectors of texts.
    ///
    /// # Errors
    /// `invalid_request` if the request is invalid, the provider cannot express it, or the provider has no
    /// embeddings. Nothing was sent then.
    pub fn embed(
        provider: Arc<dyn Provider>,
        request: Arc<EmbedRequest>,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        request.validate()?;
        let body_limit = options.sizes.body;
        let mut batch = Box::new(provider.encode_embed(&request, 0)?);
        let most = most_texts(&request, batch.is_base64, None, body_limit);
        if batch.texts > most {
            *batch = encode(&*provider, &request, 0, most)?;
        }
        let response = EmbedResponse {
            warnings: std::mem::take(&mut batch.encoded.warnings),
            ..EmbedResponse::default()
        };
        let embed = Embed {
            batch,
            most,
            body_limit,
            response,
            billed: None,
            raw: None,
        };
        Ok(Exchange::new_with(provider, request, embed, options, start))
    }
}

/// The request for the vectors of at most `most` texts from `first` on.
fn encode(
    provider: &dyn Provider,
    request: &EmbedRequest,
    first: usize,
    most: usize,
) -> Result<EncodedEmbedRequest, Error> {
    let encoded = provider.encode_embed(request, first)?;
    if encoded.texts <= most {
        return Ok(encoded);
    }
    let rest = request.input.get(first..).unwrap_or_default();
    let mut part = request.without_input();
    part.input = rest.get(..most).unwrap_or(rest).to_vec();
    provider.encode_embed(&part, 0)
}

impl Operation for Embed {
    type Output = EmbedResponse;
    type Event = StreamEvent;
    type Request = Arc<EmbedRequest>;

    fn request(
        &mut self,
        _: &AttemptTarget<Arc<EmbedRequest>>,
    ) -> Result<Request<RequestBody>, Error> {
        Ok(self.batch.encoded.request.clone().map(RequestBody::from))
    }

    fn method(&self) -> Method {
        self.batch.encoded.request.method().clone()
    }

    fn framing(&self) -> Framing {
        self.batch.encoded.framing
    }

    fn model(request: &Arc<EmbedRequest>) -> &str {
        &request.model
    }

    fn billed(&self) -> Option<BilledTokens<'_>> {
        Some(BilledTokens {
            usage: self.billed.as_ref()?,
            model: &self.response.model,
            service_tier: "",
        })
    }

    fn reset(&mut self) {
        self.raw = None;
        self.billed = None;
    }

    fn decode_frame(
        &mut self,
        _: Frame<'_>,
        _: &AttemptTarget<Arc<EmbedRequest>>,
    ) -> Result<FrameOutcome, Error> {
        Err(Error::new(
            ErrorKind::Protocol,
            "the response to an embedding request is a stream",
        ))
    }

    fn decode_body(
        &mut self,
        body: &Bytes,
        target: &AttemptTarget<Arc<EmbedRequest>>,
    ) -> Result<(), Error> {
        let embedded = target.provider.decode_embed(body)?;
        let wanted = self.batch.texts;
        if embedded.embeddings.len() != wanted {
            let came = embedded.embeddings.len();
            return Err(Error::new(
                ErrorKind::Protocol,
                format!("the response has {came} vectors for {wanted} texts"),
            ));
        }
        if let Some(vector) = embedded.embeddings.first() {
            let most = most_texts(
                &target.request,
                self.batch.is_base64,
                Some(vector.len()),
                self.body_limit,
            );
            self.most = self.most.min(most);
        }
        self.add(embedded);
        Ok(())
    }

    fn shrink(
        &mut self,
        target: &AttemptTarget<Arc<EmbedRequest>>,
        error: &Error,
    ) -> Result<bool, Error> {
        if self.batch.texts < 2 || !is_too_large(error) {
            return Ok(false);
        }
        self.most = self.batch.texts / 2;
        let done = self.response.embeddings.len();
        *self.batch = encode(&*target.provider, &target.request, done, self.most)?;
        Ok(true)
    }

    fn explain(&self, target: &AttemptTarget<Arc<EmbedRequest>>, error: Error) -> Error {
        let is_one_of_many = self.batch.texts == 1 && target.request.input.len() > 1;
        if !is_one_of_many || !is_too_large(&error) {
            return error;
        }
        let place = self.response.embeddings.len();
        error.with_message_prefix(&format!("`input[{place}]`: "))
    }

    fn keep_body(&mut self, body: Bytes) {
        self.raw = Some(RawBody::new(body));
    }

    fn next_page(&mut self, target: &AttemptTarget<Arc<EmbedRequest>>) -> Result<bool, Error> {
        let done = self.response.embeddings.len();
        if done >= target.request.input.len() {
            return Ok(false);
        }
        *self.batch = encode(&*target.provider, &target.request, done, self.most)?;
        Ok(true)
    }

    fn into_output(
        mut self,
        target: &AttemptTarget<Arc<EmbedRequest>>,
        metadata: ProviderMetadata,
        metrics: CallMetrics,
    ) -> EmbedResponse {
        if self.response.model.is_empty() {
            self.response.model.clone_from(&target.request.model);
        }
        self.response.provider_metadata = ProviderMetadata {
            raw: self.raw,
            ..metadata
        };
        self.response.metrics = metrics;
        if self.batch.texts < target.request.input.len() {
            // The headers report the time of the last request only.
            self.response.metrics.server = ServerTiming::default();
        }
        self.response
    }
}

impl Embed {
    fn add(&mut self, embedded: DecodedEmbeddings) {
        self.billed.clone_from(&embedded.usage);
        let response = &mut self.response;
        response.embeddings.extend(embedded.embeddings);
        if response.model.is_empty() {
            response.model = embedded.model.unwrap_or_default();
        }
        response.usage = match (response.usage.take(), embedded.usage) {
            (Some(before), Some(more)) => Some(sum(&before, &more)),
            (before, more) => before.or(more),
        };
    }
}

/// Sums token counts over several requests. No provider object exists for the sum.
fn sum(a: &Usage, b: &Usage) -> Usage {
    let add = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.saturating_add(b));
    Usage {
        prompt_tokens: add(a.prompt_tokens, b.prompt_tokens),
        total_tokens: add(a.total_tokens, b.total_tokens),
        ..Usage::default()
    }
}

impl fmt::Debug for Embed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shows neither the texts nor the vectors: an exchange may be logged.
        f.debug_struct("Embed")
            .field("texts", &self.batch.texts)
            .finish_non_exhaustive()
    }
}
