use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};
use unifiedai::{
    ChatRequest,
    observe::{CallEvent, CallObservation},
    provider::OpenAiChat,
};
use unifiedai_loopback::{Config, Loopback};

pub(crate) fn server() -> Loopback {
    Loopback::start(Config::fast()).unwrap()
}

pub(crate) fn cerebras(server: &Loopback) -> OpenAiChat {
    OpenAiChat::builder()
        .profile(unifiedai::provider::openai_chat::CEREBRAS)
        .api_key("key")
        .unwrap()
        .base_url(server.base_url())
        .build()
        .unwrap()
}

pub(crate) fn named(server: &Loopback, name: &str) -> OpenAiChat {
    OpenAiChat::custom(server.base_url())
        .name(name)
        .build()
        .unwrap()
}

pub(crate) fn question() -> ChatRequest {
    ChatRequest::new("gpt-oss-120b").user("Why is fast inference important?")
}

pub(crate) fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Counts running calls, from their first request to their end.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<(AtomicUsize, AtomicUsize, AtomicUsize)>);

impl Running {
    pub(crate) fn observer(&self) -> impl Fn(&CallObservation<'_>) + Send + Sync + 'static {
        let running = self.0.clone();
        move |seen| match &seen.event {
            CallEvent::Attempt { number: 1, .. } => {
                let now = running.0.fetch_add(1, SeqCst) + 1;
                running.1.fetch_max(now, SeqCst);
            }
            CallEvent::Finished(summary) => {
                running.2.fetch_add(1, SeqCst);
                if summary.attempts > 0 {
                    running.0.fetch_sub(1, SeqCst);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn now(&self) -> usize {
        self.0.0.load(SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }

    pub(crate) fn finished(&self) -> usize {
        self.0.2.load(SeqCst)
    }
}

/// Polls a future whenever it is woken, at most `polls` times, and drops it. Returns whether it was ready.
pub(crate) async fn poll_at_most<F: Future>(future: F, polls: usize) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future>(future: F) -> bool {
    pin!(future)
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}
