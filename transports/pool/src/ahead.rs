use hyper::rt::ReadBufCursor;
use std::{cell::Cell, io, task::Poll};

/// What was read from a socket and does not fit hyper's small buffer yet. Nothing is held where nothing is left.
#[derive(Default)]
pub(crate) struct Ahead {
    buffer: Option<Buffer>,
    start: usize,
    end: usize,
}

type Buffer = Box<[u8]>;

/// What is read from a socket at once.
const SIZE: usize = 16 * 1024;

thread_local! {
    /// A buffer that nobody holds. To clear one for each read would take longer than to read. A thread that ends may drop it
    /// before its streams.
    static SPARE: Cell<Option<Buffer>> = const { Cell::new(None) };
}

impl Ahead {
    /// Gives what is left, or else what `read` reads.
    pub(crate) fn poll_read(
        &mut self,
        mut into: ReadBufCursor<'_>,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => {
                let spare = SPARE.try_with(Cell::take).ok().flatten();
                let mut buffer = spare.unwrap_or_else(|| vec![0; SIZE].into());
                let result = read(&mut buffer);
                let Poll::Ready(Ok(size)) = result else {
                    give_back(buffer);
                    return result.map_ok(|_| ());
                };
                self.start = 0;
                self.end = size;
                buffer
            }
        };
        let left = buffer.get(self.start..self.end).unwrap_or_default();
        let size = left.len().min(into.remaining());
        into.put_slice(left.get(..size).unwrap_or_default());
        if size < left.len() {
            self.start = self.start.saturating_add(size);
            self.buffer = Some(buffer);
        } else {
            give_back(buffer);
        }
        Poll::Ready(Ok(()))
    }
}

fn give_back(buffer: Buffer) {
    let _ = SPARE.try_with(|spare| spare.set(Some(buffer)));
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
        assert!(ahead.buffer.is_none());
        assert_eq!(read(&mut ahead, 9, b"later"), b"later");
        assert_eq!(read(&mut ahead, 9, b""), b"", "the end");
        assert!(ahead.buffer.is_none());
        let pending = ahead.poll_read(ReadBuf::new(&mut [0; 4]).unfilled(), |_| Poll::Pending);
        assert!(pending.is_pending() && ahead.buffer.is_none());
    }
}
