//! What hyper reads from and writes to.

use crate::{Stream, ahead::Ahead, bell::Rope};
use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll},
};

/// A stream, and what has to be known of it where one codec takes the place of another in the middle of an exchange.
pub(crate) struct Io {
    stream: Box<dyn Stream>,
    rope: Rope,
    ahead: Ahead,
    replay: Replay,
}

/// How far a codec is with an exchange that another one began.
enum Replay {
    None,
    /// It has to write the request, which the peer has, before it may read these bytes.
    Request(Bytes),
    /// It has written some of it.
    Written(Bytes),
    /// It has to read these bytes, which the peer has sent already.
    Answer(Bytes),
}

impl Io {
    pub(crate) fn new(stream: Box<dyn Stream>, rope: Rope) -> Self {
        Io {
            stream,
            rope,
            ahead: Ahead::default(),
            replay: Replay::None,
        }
    }

    /// Lets another codec begin with `read`, the answer so far. The request that it writes first goes nowhere.
    pub(crate) fn replaying(self, read: Bytes, rope: Rope) -> Self {
        Io {
            rope,
            replay: Replay::Request(read),
            ..self
        }
    }

    fn read(&mut self, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match &mut self.replay {
            Replay::None => {
                let Io {
                    stream,
                    rope,
                    ahead,
                    ..
                } = self;
                if rope.is_drained() {
                    return Poll::Pending;
                }
                ahead.poll_read(into, |landing| {
                    rope.pull_read(|cx| stream.poll_read(cx, landing))
                })
            }
            Replay::Request(_) | Replay::Written(_) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Replay::Answer(read) => {
                let size = into.remaining().min(read.len());
                into.put_slice(&read.split_to(size));
                if read.is_empty() {
                    self.replay = Replay::None;
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Whether what is written goes nowhere.
    fn swallows(&mut self) -> bool {
        if let Replay::Request(read) = &mut self.replay {
            self.replay = Replay::Written(mem::take(read));
        }
        matches!(self.replay, Replay::Written(_))
    }

    fn written(&self, written: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        let taken = matches!(written, Poll::Ready(Ok(size)) if size == all);
        self.rope.tell_write_waits(!taken);
        written
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.rope.may_read() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = self.read(cx, into);
        if read.is_ready() {
            self.rope.tell_read();
        }
        read
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.swallows() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let Io { stream, rope, .. } = &mut *self;
        let written = rope.pull(|cx| Pin::new(stream).poll_write(cx, bytes));
        self.written(written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        if self.swallows() {
            return Poll::Ready(Ok(all));
        }
        let Io { stream, rope, .. } = &mut *self;
        let written = rope.pull(|cx| Pin::new(stream).poll_write_vectored(cx, slices));
        self.written(written, all)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What the stream itself still holds may wait for a peer that has answered and takes no more.
        match &mut self.replay {
            Replay::Request(_) => Poll::Ready(Ok(())),
            Replay::Written(read) => {
                self.replay = Replay::Answer(mem::take(read));
                Poll::Ready(Ok(()))
            }
            Replay::None | Replay::Answer(_) => {
                let Io { stream, rope, .. } = &mut *self;
                rope.pull(|cx| Pin::new(stream).poll_flush(cx))
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Io { stream, rope, .. } = &mut *self;
        rope.pull(|cx| Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bell::{Bell, tests::Woken};
    use hyper::rt::ReadBuf;
    use std::{
        sync::{Arc, atomic::Ordering::Relaxed},
        task::Waker,
    };

    /// Always has more to read.
    struct Endless;

    impl Read for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            mut into: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            into.put_slice(b"x");
            Poll::Ready(Ok(()))
        }
    }

    impl Write for Endless {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_codec_that_reads_on_and_on_gives_way_and_is_polled_again() {
        let (bell, rope) = Bell::new();
        let mut io = Io::new(Box::new(Endless), rope);
        let woken = Arc::new(Woken::default());
        let task = Waker::from(Arc::clone(&woken));
        for _ in 0..2 {
            let polled = bell.poll(&mut Context::from_waker(&task), |cx| {
                let mut place = [0; 16];
                // A codec that never gave way would go on for ever.
                (0..10_000)
                    .try_for_each(|_| {
                        let mut into = ReadBuf::new(&mut place);
                        match Pin::new(&mut io).poll_read(cx, into.unfilled()) {
                            Poll::Ready(_) => Ok(()),
                            Poll::Pending => Err(()),
                        }
                    })
                    .map_or(Poll::Pending, |()| Poll::Ready(()))
            });
            assert!(polled.is_pending());
            assert!(woken.0.swap(false, Relaxed));
        }
    }
}
