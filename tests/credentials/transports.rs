//! Over the three transports.

use super::{
    fake::{Asked, Fake, Reply, credentials, reply},
    limited::Limited,
    manual_driver::{DONE, JSON, SSE, WHOLE, delta, finish},
};
use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};
use unifiedai::{
    AsyncClient, CallOptions, ChatRequest, Client, Error, ErrorKind, UnifiedChatResponse,
    credentials::Credentials,
    provider::{Auth, OpenAiChat},
    transport::{CancelHandle, HyperTransport, SmolTransport, UreqTransport},
};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

/// A client over each transport.
enum Caller {
    Ureq(Client),
    Hyper(AsyncClient, tokio::runtime::Runtime),
    Smol(AsyncClient),
}

impl Caller {
    const NAMES: [&str; 3] = ["ureq", "hyper", "smol"];

    /// At most 48 connections are open at the same time, because the number of open files is limited.
    fn new(name: &str, provider: OpenAiChat, options: &CallOptions) -> Caller {
        match name {
            "ureq" => Caller::Ureq(
                Client::new(Limited::new(UreqTransport::new(), 48), provider)
                    .with_options(options.clone()),
            ),
            "hyper" => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .enable_all()
                    .build();
                let client = AsyncClient::new(Limited::new(HyperTransport::new(), 48), provider);
                Caller::Hyper(client.with_options(options.clone()), runtime.unwrap())
            }
            _ => {
                let client = AsyncClient::new(Limited::new(SmolTransport::new(), 48), provider);
                Caller::Smol(client.with_options(options.clone()))
            }
        }
    }

    fn chat(&self) -> Result<UnifiedChatResponse, Error> {
        self.chats(1, &Arc::default()).remove(0)
    }

    /// So many calls at the same time; `begun` counts those that run.
    fn chats(
        &self,
        calls: usize,
        begun: &Arc<AtomicUsize>,
    ) -> Vec<Result<UnifiedChatResponse, Error>> {
        let each = |client: &AsyncClient| {
            let (client, begun) = (client.clone(), begun.clone());
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                client.chat(ask()).await
            }
        };
        match self {
            Caller::Ureq(client) => {
                let calls: Vec<_> = (0..calls)
                    .map(|_| {
                        let (client, begun) = (client.clone(), begun.clone());
                        let thread = thread::Builder::new().stack_size(1024 * 1024);
                        let call = thread.spawn(move || {
                            begun.fetch_add(1, Ordering::SeqCst);
                            client.chat(ask())
                        });
                        call.unwrap()
                    })
                    .collect();
                let calls = calls.into_iter();
                calls.map(|call| call.join().unwrap()).collect()
            }
            Caller::Hyper(client, runtime) => runtime.block_on(async {
                let calls: Vec<_> = (0..calls).map(|_| tokio::spawn(each(client))).collect();
                let mut results = Vec::new();
                for call in calls {
                    results.push(call.await.unwrap());
                }
                results
            }),
            Caller::Smol(client) => smol::block_on(async {
                let calls: Vec<_> = (0..calls).map(|_| smol::spawn(each(client))).collect();
                let mut results = Vec::new();
                for call in calls {
                    results.push(call.await);
                }
                results
            }),
        }
    }

    /// The text of a stream.
    fn stream(&self) -> Result<String, Error> {
        async fn read(client: &AsyncClient) -> Result<String, Error> {
            let mut stream = client.stream(ask())?;
            while let Some(event) = stream.next().await {
                event?;
            }
            Ok(stream.into_response().await?.text().into_owned())
        }
        match self {
            Caller::Ureq(client) => {
                let mut stream = client.stream(ask())?;
                for event in &mut stream {
                    event?;
                }
                Ok(stream.into_response()?.text().into_owned())
            }
            Caller::Hyper(client, runtime) => runtime.block_on(read(client)),
            Caller::Smol(client) => smol::block_on(read(client)),
        }
    }

    /// One call that ends without a result after 100 ms, and one that begins 50 ms before that.
    fn dropped_and_waiting(&self) -> Result<UnifiedChatResponse, Error> {
        match self {
            Caller::Ureq(client) => {
                // A blocking call is not dropped by another thread, but cancelled.
                let handle = CancelHandle::new();
                let cancelled = client.cancelled_by(&handle);
                let cancelled = thread::spawn(move || cancelled.chat(ask()));
                thread::sleep(MILLIS(50));
                let client = client.clone();
                let waiting = thread::spawn(move || client.chat(ask()));
                thread::sleep(MILLIS(50));
                handle.cancel();
                let error = cancelled.join().unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Cancelled);
                waiting.join().unwrap()
            }
            Caller::Hyper(client, runtime) => runtime.block_on(async {
                let (dropped, client) = (client.clone(), client.clone());
                let dropped = tokio::spawn(async move { dropped.chat(ask()).await });
                tokio::time::sleep(MILLIS(50)).await;
                let waiting = tokio::spawn(async move { client.chat(ask()).await });
                tokio::time::sleep(MILLIS(50)).await;
                dropped.abort();
                assert!(dropped.await.unwrap_err().is_cancelled());
                waiting.await.unwrap()
            }),
            Caller::Smol(client) => smol::block_on(async {
                let (dropped, client) = (client.clone(), client.clone());
                let dropped = smol::spawn(async move { dropped.chat(ask()).await });
                smol::Timer::after(MILLIS(50)).await;
                let waiting = smol::spawn(async move { client.chat(ask()).await });
                smol::Timer::after(MILLIS(50)).await;
                drop(dropped);
                waiting.await
            }),
        }
    }
}

/// A provider that accepts the tokens of the fake token endpoints.
fn llm() -> Fake {
    Fake::start(|asked: &Asked, _| -> Reply {
        match asked.header("authorization") {
            Some(token) if token.starts_with("Bearer t") => {
                reply(200, WHOLE).header(JSON.0, JSON.1)
            }
            _ => reply(401, "{}"),
        }
    })
}

fn provider(origin: &str, credentials: &Credentials) -> OpenAiChat {
    let auth = Auth::Bearer(credentials.clone().into());
    let provider = OpenAiChat::custom(format!("{origin}/v1")).name("llm");
    provider.auth(auth).build().unwrap()
}

fn ask() -> ChatRequest {
    ChatRequest::new("m").user("hi")
}

fn options() -> CallOptions {
    CallOptions::default()
        .timeout(Duration::from_secs(60))
        .max_retries(0)
}

fn is_whole(result: &Result<UnifiedChatResponse, Error>) {
    assert_eq!(result.as_ref().unwrap().text(), "hello");
}

fn bearers(llm: &Fake) -> Vec<String> {
    let asked = llm.asked.lock().unwrap();
    let bearers = asked.iter().map(|asked| asked.header("authorization"));
    bearers.map(|bearer| bearer.unwrap().to_owned()).collect()
}

#[test]
fn a_thousand_waiting_calls_share_one_fetch() {
    const CALLS: usize = 1000;
    for name in Caller::NAMES {
        let begun: Arc<AtomicUsize> = Arc::default();
        let running = begun.clone();
        // The token is issued 200 ms after the last call began.
        let tokens = Fake::start(move |_, before| {
            let began = Instant::now();
            while running.load(Ordering::SeqCst) < CALLS && began.elapsed() < MILLIS(8000) {
                thread::sleep(MILLIS(5));
            }
            reply(200, format!("t{before} 3600")).after(MILLIS(200))
        });
        let llm = llm();
        let source = credentials(&tokens.origin);
        let caller = Caller::new(name, provider(&llm.origin, &source), &options());
        for result in &caller.chats(CALLS, &begun) {
            is_whole(result);
        }
        assert_eq!((tokens.count(), llm.count()), (1, CALLS), "{name}");
    }
}

#[test]
fn a_token_that_expires_between_attempts_is_renewed_before_the_next() {
    for name in Caller::NAMES {
        let tokens = Fake::start(|_, before| reply(200, format!("t{before} 1")));
        let llm = Fake::start(|_, before| match before {
            0 => reply(503, "busy").header("retry-after", "1"),
            _ => reply(200, WHOLE).header(JSON.0, JSON.1),
        });
        let source = credentials(&tokens.origin);
        let options = options().max_retries(1);
        let caller = Caller::new(name, provider(&llm.origin, &source), &options);
        is_whole(&caller.chat());
        assert_eq!(bearers(&llm), ["Bearer t0", "Bearer t1"], "{name}");
        assert_eq!(tokens.count(), 2, "{name}");
    }
}

#[test]
fn a_token_that_expires_during_a_stream_does_not_end_it() {
    for name in Caller::NAMES {
        let tokens = Fake::start(|_, before| reply(200, format!("t{before} 1")));
        let llm = Fake::start(|_, _| {
            let rest = [delta("lo"), finish(), DONE.to_owned()].concat();
            let stream = reply(200, delta("hel")).header(SSE.0, SSE.1);
            stream.then(MILLIS(1300), rest)
        });
        let source = credentials(&tokens.origin);
        let caller = Caller::new(name, provider(&llm.origin, &source), &options());
        assert_eq!(caller.stream().unwrap(), "hello", "{name}");
        assert_eq!(tokens.count(), 1, "{name}");
        // The next call uses another token.
        assert_eq!(caller.stream().unwrap(), "hello", "{name}");
        assert_eq!(bearers(&llm), ["Bearer t0", "Bearer t1"], "{name}");
    }
}

#[test]
fn a_fetch_whose_call_is_dropped_passes_to_another_call() {
    for name in Caller::NAMES {
        let tokens =
            Fake::start(|_, before| reply(200, format!("t{before} 3600")).after(MILLIS(400)));
        let llm = llm();
        let source = credentials(&tokens.origin);
        let caller = Caller::new(name, provider(&llm.origin, &source), &options());
        is_whole(&caller.dropped_and_waiting());
        assert_eq!((tokens.count(), llm.count()), (2, 1), "{name}");
    }
}

#[test]
fn an_async_closure_may_do_its_own_io() {
    let llm = llm();
    let source = Credentials::from_async("own io", |_| async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let text = tokio::task::spawn_blocking(|| {
            thread::sleep(Duration::from_millis(30));
            "town"
        });
        let secret = unifiedai::Secret::new(text.await.unwrap())?;
        Ok(unifiedai::credentials::Token::bearer(secret))
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let client = AsyncClient::new(HyperTransport::new(), provider(&llm.origin, &source));
        is_whole(&client.with_options(options()).chat(ask()).await);
    });
    assert!(began.elapsed() < Duration::from_secs(20));
    // A blocking call drives a future too, as long as it needs no runtime.
    let shared: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
    let state = shared.clone();
    let source = Credentials::from_async("own future", move |_| {
        let state = state.clone();
        async move {
            poll_fn(|cx| {
                let mut state = state.lock().unwrap();
                state.1 = Some(cx.waker().clone());
                if state.0 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            let secret = unifiedai::Secret::new("town")?;
            Ok(unifiedai::credentials::Token::bearer(secret))
        }
    });
    let client = Client::new(UreqTransport::new(), provider(&llm.origin, &source));
    let call = thread::spawn(move || client.with_options(options()).chat(ask()));
    let waker = loop {
        if let Some(waker) = shared.lock().unwrap().1.take() {
            break waker;
        }
        thread::sleep(Duration::from_millis(5));
    };
    shared.lock().unwrap().0 = true;
    waker.wake();
    is_whole(&call.join().unwrap());
}
