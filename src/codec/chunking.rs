//! How tests show that the way in which bytes are cut into chunks changes nothing.

use std::fmt::Debug;

/// What `decode` makes of a stream, which is the same for the stream as a whole, byte by byte and split in two at every place.
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
