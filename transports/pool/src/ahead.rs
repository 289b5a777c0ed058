use hyper::rt::ReadBufCursor;
use std::{
    cell::Cell,
    io,
    task::{Poll, ready},
};

/// What was read from a socket and does not fit hyper's small buffer yet. Nothing is held where nothing is left.
#[derive(Default)]
pub(crate) struct Ahead {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// What is read from a socket at once.
const SIZE: usize = 16 * 1024;

thread_local! {
    /// A buffer that nobody holds. To clear one for each read would take longer than to read. A thread that ends may drop it
    /// before its streams.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Ahead {
    /// Gives what is left, or else what `read` reads.
    pub(crate) fn poll_read(
        &mut self,
        mut into: ReadBufCursor<'_>,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        if self.start == self.end {
            let mut buffer = SPARE.try_with(Cell::take).unwrap_or_default();
            buffer.resize(SIZE, 0);
            let result = read(&mut buffer);
            self.start = 0;
            self.end = match result {
                Poll::Ready(Ok(size)) => size,
                _ => 0,
            };
            self.buffer = buffer;
            self.give_back();
            ready!(result)?;
        }
        let left = self.buffer.get(self.start..self.end).unwrap_or_default();
        let size = left.len().min(into.remaining());
        into.put_slice(left.get(..size).unwrap_or_default());
        self.start = self.start.saturating_add(size);
        self.give_back();
        Poll::Ready(Ok(()))
    }

    fn give_back(&mut self) {
        if self.start == self.end && !self.buffer.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            let _ = SPARE.try_with(|spare| spare.set(buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use hyper::rt::ReadBuf;

    fn read(ahead: &mut Ahead, room: usize, socket: &[u8]) -> Vec<u8> {
        let mut room = vec![0; room];
        let mut into = ReadBuf::new(&mut room);
        let polled = ahead.poll_read(into.unfilled(), |landing| {
            landing[..socket.len()].copy_from_slice(socket);
            Poll::Ready(Ok(socket.len()))
        });
        assert!(polled.is_ready());
        into.filled().to_vec()
    }

    #[test]
    fn what_does_not_fit_comes_next_and_then_nothing_is_held() {
        let mut ahead = Ahead::default();
        assert_eq!(read(&mut ahead, 3, b"abcde"), b"abc");
        assert_eq!(read(&mut ahead, 3, b"later"), b"de");
        assert!(ahead.buffer.is_empty());
        assert_eq!(read(&mut ahead, 9, b"later"), b"later");
        assert_eq!(read(&mut ahead, 9, b""), b"", "the end");
        assert!(ahead.buffer.is_empty());
        let pending = ahead.poll_read(ReadBuf::new(&mut [0; 4]).unfilled(), |_| Poll::Pending);
        assert!(pending.is_pending() && ahead.buffer.is_empty());
    }
}
