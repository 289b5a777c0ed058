//! Calls of batch APIs, driven by hand.

use bytes::Bytes;
use http::{Request, Response, response};
use std::{sync::Arc, time::SystemTime};
use unifiedai::{
    CallOptions, Error, Json, RetryPolicy,
    provider::{
        Anthropic, BatchApi, Gemini, OpenAiChat, OpenAiResponses, Provider, openai_chat::profiles,
        openai_responses::ResponsesProfile,
    },
    provider_batch::{BatchAnswer, BatchCall, BatchItem},
    sans_io::{CallStart, Exchange, Input, Step},
    transport::{RequestDelivery, Time, TransportError, TransportErrorKind},
};

/// How a body arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    Whole,
    Bytes,
    /// Only its first bytes; then the connection is gone, which a transport notices.
    Cut(usize),
    /// Only its first bytes, as if these were all.
    End(usize),
}

/// An answer of the network.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        Answer {
            status: 200,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.into(),
        }
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn head(&self) -> response::Parts {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(()).unwrap().into_parts().0
    }
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: Vec<Request<Bytes>>,
    pub(crate) items: Vec<BatchItem<Json>>,
    pub(crate) result: Result<BatchAnswer, Error>,
}

/// Makes a call whose requests are answered one by one. A call that asks for more than there are is given an error.
pub(crate) fn call(
    provider: &Arc<dyn Provider>,
    call: BatchCall,
    answers: &[Answer],
    arrival: Arrival,
) -> Outcome {
    let options = CallOptions::default().retry(RetryPolicy::none());
    drive(provider, call, answers, arrival, options)
}

pub(crate) fn drive(
    provider: &Arc<dyn Provider>,
    call: BatchCall,
    answers: &[Answer],
    arrival: Arrival,
    options: CallOptions,
) -> Outcome {
    let start = CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0);
    let mut outcome = Outcome {
        requests: Vec::new(),
        items: Vec::new(),
        result: Ok(BatchAnswer::Done),
    };
    let mut exchange = match Exchange::batch_call(provider.clone(), call, Arc::new(options), start)
    {
        Ok(exchange) => exchange,
        Err(error) => {
            outcome.result = Err(error);
            return outcome;
        }
    };
    let mut answers = answers.iter();
    let (mut body, mut now) = (Bytes::new(), Time::ZERO);
    loop {
        match exchange.poll(now) {
            Step::Send { request, .. } => {
                outcome
                    .requests
                    .push(request.map(|body| body.collect(1 << 30).unwrap()));
                let Some(answer) = answers.next() else {
                    exchange.handle(
                        Input::TransportError(failure(RequestDelivery::NotSent)),
                        now,
                    );
                    continue;
                };
                body = match arrival {
                    Arrival::Cut(at) | Arrival::End(at) => answer.body.slice(..at),
                    _ => answer.body.clone(),
                };
                exchange.handle(Input::Headers(answer.head()), now);
            }
            Step::Receive { .. } if body.is_empty() => match arrival {
                Arrival::Cut(_) => {
                    let error = failure(RequestDelivery::Answered);
                    exchange.handle(Input::TransportError(error), now);
                }
                _ => exchange.handle(Input::BodyEnd, now),
            },
            Step::Receive { .. } => {
                let piece = match arrival {
                    Arrival::Bytes => body.split_to(1),
                    _ => body.split_to(body.len()),
                };
                exchange.handle(Input::Body(piece), now);
            }
            Step::Event(item) => outcome.items.push(item),
            Step::Sleep { until } => now = until,
            Step::Done => break,
            other => panic!("{other:?}"),
        }
    }
    outcome.result = exchange.into_result();
    outcome
}

fn failure(delivery: RequestDelivery) -> TransportError {
    TransportError::new(TransportErrorKind::Truncated, delivery, "cut by the test")
}

pub(crate) fn with_api<R>(provider: &Arc<dyn Provider>, f: impl FnOnce(&dyn BatchApi) -> R) -> R {
    f(&*provider.batch_api().unwrap())
}

pub(crate) const KEY: &str = "k3y-of-the-batch-tests";

/// Servers whose batches are like OpenAI's, by the name of their profile.
pub(crate) fn like_openai(name: &str) -> Arc<dyn Provider> {
    let profile = profiles::by_name(name).unwrap();
    let mut builder = OpenAiChat::builder().profile(profile).api_key(KEY).unwrap();
    if name == "azure" || name == "azure-v1" {
        builder = builder.url_param("resource", "r");
    }
    if name == "azure" {
        builder = builder.url_param("deployment", "d-1");
    }
    Arc::new(builder.build().unwrap())
}

pub(crate) fn responses(profile: ResponsesProfile) -> Arc<dyn Provider> {
    let builder = OpenAiResponses::builder()
        .profile(profile)
        .api_key(KEY)
        .unwrap();
    Arc::new(builder.build().unwrap())
}

pub(crate) fn anthropic() -> Arc<dyn Provider> {
    Arc::new(Anthropic::new(KEY).unwrap())
}

pub(crate) fn gemini() -> Arc<dyn Provider> {
    Arc::new(Gemini::new(KEY).unwrap())
}

pub(crate) fn json(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(body).unwrap()
}

/// The error that the machine makes of a failure of the transport.
pub(crate) fn error_of(delivery: RequestDelivery) -> Error {
    let start = CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0);
    let options = Arc::new(CallOptions::default().retry(RetryPolicy::none()));
    let call = BatchCall::Retrieve("b".into());
    let mut exchange = Exchange::batch_call(anthropic(), call, options, start).unwrap();
    loop {
        match exchange.poll(Time::ZERO) {
            Step::Send { .. } => {
                let kind = TransportErrorKind::Other;
                let failure = TransportError::new(kind, delivery, "lost by the test");
                exchange.handle(Input::TransportError(failure), Time::ZERO);
            }
            Step::Done => break,
            other => panic!("{other:?}"),
        }
    }
    exchange.into_result().unwrap_err()
}
