//! Buffers for the beginning of an incomplete frame.

/// A buffer with a larger capacity, in bytes, is freed once its frame was returned.
const KEEP_CAPACITY: usize = 16 * 1024;

/// Appends `bytes`. The capacity exceeds `limit` only if the content does.
pub(super) fn append(buffer: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let needed = buffer.len().saturating_add(bytes.len());
    if needed > buffer.capacity() {
        // Doubling keeps the copying linear; the limit bounds the last doubling.
        let capacity = buffer
            .capacity()
            .saturating_mul(2)
            .max(64)
            .min(limit)
            .max(needed);
        buffer.reserve_exact(capacity.saturating_sub(buffer.len()));
    }
    buffer.extend_from_slice(bytes);
}

pub(super) fn clear(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEEP_CAPACITY {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_doubles_and_stops_at_the_limit() {
        let mut buffer = Vec::new();
        let capacities = (0..100).map(|_| {
            append(&mut buffer, b"x", 100);
            buffer.capacity()
        });
        let mut capacities: Vec<_> = capacities.collect();
        assert_eq!(capacities[63], 64);
        capacities.dedup();
        assert_eq!(capacities, [64, 100]);
    }

    #[test]
    fn a_large_buffer_is_freed_after_its_frame() {
        for (capacity, kept) in [(64, 64), (16_384, 16_384), (16_385, 0)] {
            let mut buffer = Vec::with_capacity(capacity);
            append(&mut buffer, b"x", capacity);
            clear(&mut buffer);
            assert_eq!((buffer.len(), buffer.capacity()), (0, kept));
        }
    }
}
