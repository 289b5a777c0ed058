//! Test helper: shows that chunk boundaries make no difference.

use std::fmt::Debug;

/// The result of `decode` for a stream. Checks that it is the same for the complete stream, byte by byte, and split
/// in two at every position.
pub(super) fn every_chunking<T: Debug + PartialEq>(
    stream: &[u8],
    decode: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> T,
) -> T {
    let whole = decode(&mut [stream].into_iter());
    assert_eq!(decode(&mut stream.chunks(1)), whole, "byte by byte");
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        let split = decode(&mut [head, tail].into_iter());
        assert_eq!(split, whole, "split at {at}");
    }
    whole
}
