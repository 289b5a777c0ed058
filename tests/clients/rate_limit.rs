use crate::support::{cerebras, question, server, tokio};
use futures_util::future::join_all;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant},
};
use unifiedai::{
    AsyncClient, CallOptions, Client,
    observe::{CallEvent, CallObservation},
    policy::ProviderLimits,
    provider::OpenAiChat,
    sans_io::{CallStart, Exchange, Step},
    transport::{
        self, AsyncTransport, AttemptDeadlines, CancelHandle, RequestBody, SmolTransport as Smol,
        Time, Transport, TransportError, UreqTransport,
    },
};

/// Requests per minute: ten per second.
const PACE: u32 = 600;
const CALLS: usize = 10;

/// A rate limiter that is exhausted now.
fn spent(provider: &OpenAiChat, now: impl Fn() -> Time) -> Arc<ProviderLimits> {
    let guard = Arc::new(ProviderLimits::new().requests_per_minute(PACE));
    let provider = Arc::new(provider.clone());
    loop {
        let now = now();
        let start = CallStart::new(now, std::time::SystemTime::now(), 0);
        let options = Arc::new(CallOptions::default());
        let exchange = Exchange::new(provider.clone(), Arc::new(question()), options, start);
        let mut exchange = exchange.unwrap().with_provider_limits(guard.clone());
        if !matches!(exchange.poll(now), Step::Send { .. }) {
            return guard;
        }
    }
}

/// The models of the calls in the order in which their requests were sent.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<Vec<String>>>);

impl Order {
    fn observer(&self) -> impl Fn(&CallObservation<'_>) + Send + Sync + 'static {
        let order = self.0.clone();
        move |seen| {
            if let CallEvent::Attempt { .. } = seen.event {
                order.lock().unwrap().push(seen.call.model.clone());
            }
        }
    }

    fn check(&self) {
        let order = self.0.lock().unwrap();
        assert_eq!(order.len(), CALLS);
        assert!(order.is_sorted(), "{order:?}");
    }
}

fn model(call: usize) -> String {
    format!("gpt-oss-120b-{call}")
}

/// Reports each reading of the clock: a call that stops reading it waits in the queue.
#[derive(Clone)]
struct Telling(UreqTransport, Sender<()>);

impl Transport for Telling {
    type Body = <UreqTransport as Transport>::Body;

    fn now(&self) -> Time {
        let _ = self.1.send(());
        self.0.now()
    }

    fn wall_clock(&self) -> std::time::SystemTime {
        self.0.wall_clock()
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> Result<http::Response<Self::Body>, TransportError> {
        self.0.send(request, limits)
    }

    fn sleep_until(&self, at: Time) {
        self.0.sleep_until(at);
    }
}

#[test]
fn rate_limited_calls_keep_their_order_blocking() {
    let (server, order) = (server(), Order::default());
    let (tell, told) = channel();
    let agent = Telling(UreqTransport::new(), tell);
    let guard = spent(&cerebras(&server), || agent.now());
    let client = Client::new(agent, cerebras(&server))
        .with_observer(order.observer())
        .with_provider_limits("cerebras", guard)
        .unwrap();
    std::thread::scope(|scope| {
        for call in 0..CALLS {
            let client = &client;
            scope.spawn(move || {
                let mut request = question();
                request.model = model(call);
                client.chat(request).unwrap();
            });
            told.recv().unwrap();
            while told.recv_timeout(Duration::from_millis(20)).is_ok() {}
        }
    });
    order.check();
}

/// A call that waits behind others tries again when they have left, not every second.
#[test]
fn a_paced_blocking_call_is_woken_at_its_turn() {
    const A_MINUTE: u32 = 30;
    let server = server();
    let provider = cerebras(&server);
    let looks = Arc::new(AtomicUsize::new(0));
    let agent = Counting(UreqTransport::new(), looks.clone());
    let guard = Arc::new(ProviderLimits::new().requests_per_minute(A_MINUTE));
    for _ in 0..A_MINUTE {
        let start = CallStart::new(agent.now(), std::time::SystemTime::now(), 0);
        let options = Arc::new(CallOptions::default());
        let provider = Arc::new(provider.clone());
        let exchange = Exchange::new(provider, Arc::new(question()), options, start);
        let mut exchange = exchange.unwrap().with_provider_limits(guard.clone());
        assert!(matches!(exchange.poll(agent.now()), Step::Send { .. }));
    }
    let spent = Instant::now();
    let cancel = CancelHandle::new();
    let client = |cancel: Option<CancelHandle>| {
        let client = Client::new(agent.clone(), provider.clone());
        let client = client
            .with_provider_limits("cerebras", guard.clone())
            .unwrap();
        match cancel {
            Some(handle) => client.cancelled_by(&handle),
            None => client,
        }
    };
    std::thread::scope(|scope| {
        let (first, second) = (client(Some(cancel.clone())), client(None));
        let first = scope.spawn(move || first.chat(question()));
        std::thread::sleep(Duration::from_millis(100));
        looks.store(0, SeqCst);
        let second = scope.spawn(move || second.chat(question()).map(|_| spent.elapsed()));
        // It could proceed after 4 s, and after 2 s once the first has left.
        std::thread::sleep(Duration::from_millis(1200));
        cancel.cancel();
        assert!(first.join().unwrap().is_err());
        let took = second.join().unwrap().unwrap();
        assert!(took >= Duration::from_millis(1900), "{took:?}");
        assert!(took < Duration::from_millis(2150), "{took:?}");
    });
    // A few for the request, and two for each wait.
    let looks = looks.load(SeqCst);
    assert!(looks < 30, "looked at the clock {looks} times");
}

/// Counts readings of the clock.
#[derive(Clone)]
struct Counting(UreqTransport, Arc<AtomicUsize>);

impl Transport for Counting {
    type Body = <UreqTransport as Transport>::Body;

    fn now(&self) -> Time {
        self.1.fetch_add(1, SeqCst);
        self.0.now()
    }

    fn wall_clock(&self) -> std::time::SystemTime {
        self.0.wall_clock()
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> Result<http::Response<Self::Body>, TransportError> {
        self.0.send(request, limits)
    }

    fn sleep_until(&self, at: Time) {
        self.0.sleep_until(at);
    }
}

#[test]
fn rate_limited_calls_keep_their_order_on_tokio() {
    tokio().block_on(paced(transport::HyperTransport::new()));
}

#[test]
fn rate_limited_calls_keep_their_order_on_smol() {
    smol::block_on(paced(Smol::new()));
}

async fn paced<T: AsyncTransport + 'static>(transport: T) {
    let (server, order) = (server(), Order::default());
    let guard = spent(&cerebras(&server), || transport.now());
    let client = AsyncClient::new(transport, cerebras(&server))
        .with_observer(order.observer())
        .with_provider_limits("cerebras", guard)
        .unwrap();
    let calls = (0..CALLS).map(|call| {
        let client = client.clone();
        async move {
            let mut request = question();
            request.model = model(call);
            client.chat(request).await.unwrap();
        }
    });
    join_all(calls).await;
    order.check();
}
