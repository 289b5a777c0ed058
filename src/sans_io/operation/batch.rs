use super::{AttemptTarget, CallStart, Exchange, sealed::Operation};
use crate::{
    CallOptions, Error, ErrorKind, Json,
    chat::{CallMetrics, ProviderMetadata, Warning},
    provider::{BatchApi, DecodedCall, EncodedCall, Frame, FrameOutcome, Framing, Provider},
    provider_batch::{BatchAnswer, BatchCall, BatchItem, was_not_processed},
};
use bytes::Bytes;
use http::{Method, Request, response};
use std::{
    collections::VecDeque,
    fmt,
    hash::{DefaultHasher, Hasher as _},
    sync::Arc,
};
use unifiedai_transport::RequestBody;

/// A call of a provider's batch or file API. Results are events, as they are sent; all else is in the answer.
pub struct CallBatchApi {
    /// What is asked for now: some calls take several requests.
    call: BatchCall,
    /// Boxed, because it is larger than the rest.
    encoded: Box<EncodedCall>,
    head: Option<Box<response::Parts>>,
    answer: Option<BatchAnswer>,
    then: Option<BatchCall>,
    items: VecDeque<BatchItem<Json>>,
    /// How many of the items came with pages that are complete.
    settled: usize,
    has_items: bool,
    requests: u32,
    lines: LinesRead,
}

/// The lines of results that were returned. If the download breaks, it is repeated from the start, and these are skipped.
#[derive(Default)]
struct LinesRead {
    count: u64,
    hash: DefaultHasher,
    /// The lines that are still to be skipped, and the hash of those that were.
    skip: Option<(u64, DefaultHasher)>,
    /// Whether the current attempt returned a line.
    has_advanced: bool,
}

/// Pages of results of one call. A batch has at most a million requests, and a page a hundred.
const MAX_REQUESTS: u32 = 100_000;

impl Exchange<CallBatchApi> {
    /// A call of the batch or file API of `provider`.
    ///
    /// # Errors
    /// `invalid_request` if the provider has no such call. Nothing was sent then.
    pub fn batch_call(
        provider: Arc<dyn Provider>,
        call: BatchCall,
        options: Arc<CallOptions>,
        start: CallStart,
    ) -> Result<Self, Error> {
        let encoded = Box::new(api(&*provider)?.encode_call(&call)?);
        let is_streamed = is_streamed(&call);
        let operation = CallBatchApi {
            call,
            encoded,
            head: None,
            answer: None,
            then: None,
            items: VecDeque::new(),
            settled: 0,
            has_items: false,
            requests: 0,
            lines: LinesRead::default(),
        };
        Ok(Exchange::new_with(
            provider,
            is_streamed,
            operation,
            options,
            start,
        ))
    }
}

fn api(provider: &dyn Provider) -> Result<Box<dyn BatchApi + '_>, Error> {
    provider.batch_api().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("`{}` has no batches and keeps no files", provider.name()),
        )
    })
}

/// Whether the results come line by line.
fn is_streamed(call: &BatchCall) -> bool {
    matches!(call, BatchCall::Results(source) if source.is_streamed())
}

impl Operation for CallBatchApi {
    type Output = BatchAnswer;
    type Event = BatchItem<Json>;
    /// Whether the answer comes in pieces.
    type Request = bool;

    fn request(&mut self, _: &AttemptTarget<bool>) -> Result<Request<RequestBody>, Error> {
        Ok(self.encoded.request.clone())
    }

    fn method(&self) -> Method {
        self.encoded.request.method().clone()
    }

    fn framing(&self) -> Framing {
        self.encoded.framing
    }

    fn can_send_again(&self) -> bool {
        self.encoded.request.body().is_repeatable()
    }

    fn is_authenticated(&self) -> bool {
        self.encoded.authenticated
    }

    fn accepts(&self, head: &response::Parts) -> bool {
        head.status.is_success() || self.encoded.accepted.contains(&head.status.as_u16())
    }

    fn keep_head(&mut self, head: &response::Parts) {
        self.head = Some(Box::new(head.clone()));
    }

    /// A batch that was made costs what it costs, whether its maker knows of it or not. The call that makes one, or adds to one,
    /// is repeated only if it was certainly refused.
    fn may_repeat(&self, error: &Error) -> bool {
        let is_paid = matches!(self.call, BatchCall::Create(_) | BatchCall::Add { .. });
        !is_paid || was_not_processed(error)
    }

    fn reset(&mut self) {
        self.head = None;
        self.answer = None;
        self.then = None;
        if is_streamed(&self.call) {
            self.lines.begin_again();
        } else {
            self.items.truncate(self.settled);
            self.has_items = self.settled > 0;
        }
    }

    fn is_resuming(&self) -> bool {
        is_streamed(&self.call)
    }

    fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.lines.has_advanced)
    }

    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        target: &AttemptTarget<bool>,
    ) -> Result<FrameOutcome, Error> {
        if self.lines.is_new(frame.data)? {
            let item = api(&*target.provider)?.decode_line(frame.data);
            self.items.push_back(item);
            self.has_items = true;
        }
        Ok(FrameOutcome::Continue)
    }

    fn decode_body(&mut self, body: &Bytes, target: &AttemptTarget<bool>) -> Result<(), Error> {
        let empty = http::Response::new(()).into_parts().0;
        let head = self.head.as_deref().unwrap_or(&empty);
        match api(&*target.provider)?.decode_call(&self.call, head, body)? {
            DecodedCall::Answer(answer) => self.answer = Some(answer),
            DecodedCall::Then(call) => self.then = Some(call),
            DecodedCall::Items(items, then) => {
                self.has_items |= !items.is_empty();
                self.items.extend(items);
                self.then = then;
            }
        }
        Ok(())
    }

    /// A file has no mark at its end: it is whole where HTTP says so, and not inside of a line.
    fn is_complete_at_end(&self, cut: bool) -> bool {
        !cut
    }

    fn finish(&mut self, _: &AttemptTarget<bool>, _: Option<Warning>) -> Result<(), Error> {
        match self.lines.skip {
            Some((left, _)) => Err(changed(self.lines.count.saturating_sub(left))),
            None => Ok(()),
        }
    }

    fn next_page(&mut self, target: &AttemptTarget<bool>) -> Result<bool, Error> {
        self.settled = self.items.len();
        let Some(call) = self.then.take() else {
            return Ok(false);
        };
        self.requests = self.requests.saturating_add(1);
        if self.requests >= MAX_REQUESTS {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the results have more than {MAX_REQUESTS} pages"),
            ));
        }
        *self.encoded = api(&*target.provider)?.encode_call(&call)?;
        self.call = call;
        Ok(true)
    }

    fn next_event(&mut self) -> Option<BatchItem<Json>> {
        let item = self.items.pop_front()?;
        self.settled = self.settled.saturating_sub(1);
        Some(item)
    }

    fn is_visible(&self) -> bool {
        self.has_items
    }

    fn is_streamed(streamed: &bool) -> bool {
        *streamed
    }

    fn into_output(
        self,
        _: &AttemptTarget<bool>,
        _: ProviderMetadata,
        _: CallMetrics,
    ) -> BatchAnswer {
        self.answer.unwrap_or(BatchAnswer::Done)
    }
}

impl LinesRead {
    fn begin_again(&mut self) {
        self.skip = (self.count > 0).then(|| (self.count, DefaultHasher::new()));
    }

    /// Whether a line was not returned before.
    ///
    /// # Errors
    /// `protocol` if the lines that are skipped are not those that were returned.
    fn is_new(&mut self, line: &str) -> Result<bool, Error> {
        let add = |hash: &mut DefaultHasher| {
            hash.write(line.as_bytes());
            hash.write_u8(b'\n');
        };
        let Some((left, hash)) = &mut self.skip else {
            add(&mut self.hash);
            self.count = self.count.saturating_add(1);
            self.has_advanced = true;
            return Ok(true);
        };
        add(hash);
        *left = left.saturating_sub(1);
        if *left == 0 {
            if hash.finish() != self.hash.finish() {
                return Err(changed(self.count));
            }
            self.skip = None;
        }
        Ok(false)
    }
}

fn changed(lines: u64) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!(
            "the download was repeated after its connection broke, and its first {lines} lines are not those of the first download"
        ),
    )
    .with_retryable(false)
}

impl fmt::Debug for CallBatchApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the requests, not the answers: an exchange ends up in logs (F113).
        f.debug_struct("CallBatchApi")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
