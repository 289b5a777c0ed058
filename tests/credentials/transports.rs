//! Over the three transports.

use super::{
    fake::{Asked, Fake, Reply, credentials, reply},
    manual_driver::WHOLE,
};
use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};
use unifiedai::{
    AsyncClient, CallOptions, ChatRequest, Client, Error, UnifiedChatResponse,
    credentials::Credentials,
    provider::{Auth, OpenAiChat},
    transport::{HyperTransport, SmolTransport, UreqTransport},
};

/// A token endpoint that takes a while, and a provider that wants its tokens.
fn servers(delay: Duration) -> (Fake, Fake) {
    let tokens = Fake::start(move |_, before| reply(200, format!("t{before} 3600")).after(delay));
    let provider = Fake::start(|asked: &Asked, _| -> Reply {
        match asked.header("authorization") {
            Some(token) if token.starts_with("Bearer t") => {
                reply(200, WHOLE).header("content-type", "application/json")
            }
            _ => reply(401, "{}"),
        }
    });
    (tokens, provider)
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

#[test]
fn blocking_calls_share_one_fetch() {
    let (tokens, llm) = servers(Duration::from_millis(300));
    let source = credentials(&tokens.origin);
    let client = Client::new(UreqTransport::new(), provider(&llm.origin, &source));
    let client = client.with_options(options());
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.chat(ask()))
        })
        .collect();
    for call in calls {
        is_whole(&call.join().unwrap());
    }
    assert_eq!((tokens.count(), llm.count()), (1, 40));
}

#[test]
fn a_thousand_calls_share_one_fetch_over_hyper() {
    let (tokens, llm) = servers(Duration::from_millis(500));
    let source = credentials(&tokens.origin);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = AsyncClient::new(HyperTransport::new(), provider(&llm.origin, &source));
        let client = client
            .with_options(options())
            .with_max_concurrent("llm", 64)
            .unwrap();
        let calls: Vec<_> = (0..1000)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.chat(ask()).await })
            })
            .collect();
        for call in calls {
            is_whole(&call.await.unwrap());
        }
    });
    assert_eq!((tokens.count(), llm.count()), (1, 1000));
}

#[test]
fn a_fetching_future_that_is_dropped_leaves_the_fetch_to_another() {
    let (tokens, llm) = servers(Duration::from_millis(300));
    let source = credentials(&tokens.origin);
    smol::block_on(async {
        let client = AsyncClient::new(SmolTransport::new(), provider(&llm.origin, &source));
        let client = client.with_options(options());
        let dropped = client.clone();
        let fetching = smol::spawn(async move { dropped.chat(ask()).await });
        smol::Timer::after(Duration::from_millis(100)).await;
        let other = client.clone();
        let waiting = smol::spawn(async move { other.chat(ask()).await });
        smol::Timer::after(Duration::from_millis(50)).await;
        drop(fetching);
        is_whole(&waiting.await);
    });
    assert_eq!((tokens.count(), llm.count()), (2, 1));
}

#[test]
fn an_async_closure_may_do_its_own_io() {
    let (_, llm) = servers(Duration::ZERO);
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
