use bytes::Bytes;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};
use unifiedai_transport::{BodySource, PollPieces, RequestBody};

/// A step of a [`TestSource`].
#[derive(Clone, Copy, Debug)]
pub enum SourceStep {
    /// A piece of so many bytes.
    Piece(usize),
    /// Nothing for this time; then the task is woken.
    Pause(Duration),
    /// An error with this message.
    Fail(&'static str),
    /// Nothing, for ever.
    Stall,
}

/// A streamed request body for tests: it takes these steps, and again each time that it is opened. The byte at an offset is
/// [`byte_at`].
#[derive(Clone, Debug)]
pub struct TestSource {
    steps: Arc<[SourceStep]>,
    given: Arc<AtomicU64>,
}

struct Reading {
    steps: Arc<[SourceStep]>,
    next: usize,
    paused: bool,
    at: u64,
    given: Arc<AtomicU64>,
}

/// The byte at this offset of a [`TestSource`].
#[must_use]
pub fn byte_at(offset: u64) -> u8 {
    u8::try_from(offset % 251).unwrap_or_default()
}

impl TestSource {
    /// A source of these steps.
    pub fn new(steps: impl IntoIterator<Item = SourceStep>) -> Self {
        TestSource {
            steps: steps.into_iter().collect(),
            given: Arc::default(),
        }
    }

    /// The bytes that it has given so far, over all times that it was opened.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }

    /// A body of all its pieces.
    #[must_use]
    pub fn body(&self) -> RequestBody {
        let sizes = self.steps.iter().map(|step| match step {
            SourceStep::Piece(size) => *size as u64,
            _ => 0,
        });
        self.body_of(sizes.sum())
    }

    /// A body that announces this length.
    #[must_use]
    pub fn body_of(&self, length: u64) -> RequestBody {
        RequestBody::from_source(length, self.clone())
    }
}

impl BodySource for TestSource {
    fn open(&self) -> io::Result<Box<dyn PollPieces>> {
        Ok(Box::new(Reading {
            steps: Arc::clone(&self.steps),
            next: 0,
            paused: false,
            at: 0,
            given: Arc::clone(&self.given),
        }))
    }
}

impl PollPieces for Reading {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match self.steps.get(self.next).copied() {
                None => return Poll::Ready(Ok(None)),
                Some(SourceStep::Stall) => return Poll::Pending,
                Some(SourceStep::Fail(problem)) => {
                    return Poll::Ready(Err(io::Error::other(problem)));
                }
                Some(SourceStep::Pause(time)) if !self.paused => {
                    self.paused = true;
                    let waker = cx.waker().clone();
                    thread::spawn(move || {
                        thread::sleep(time);
                        waker.wake();
                    });
                    return Poll::Pending;
                }
                Some(SourceStep::Pause(_)) => {
                    self.paused = false;
                    self.next += 1;
                }
                Some(SourceStep::Piece(size)) => {
                    self.next += 1;
                    let end = self.at + size as u64;
                    let piece: Vec<u8> = (self.at..end).map(byte_at).collect();
                    self.at = end;
                    self.given.fetch_add(size as u64, Ordering::SeqCst);
                    return Poll::Ready(Ok(Some(piece.into())));
                }
            }
        }
    }
}
