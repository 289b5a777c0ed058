use super::protocols::CANARY;
use std::time::Duration;

/// Takes values off the front of the input; after its end, everything is zero or empty.
#[derive(Clone, Copy)]
pub struct Source<'a>(pub &'a [u8]);

impl<'a> Source<'a> {
    pub fn is_spent(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the first one says.
    pub fn short_bytes(&mut self) -> &'a [u8] {
        let len = self.byte();
        self.bytes(len.into())
    }

    /// Never the key: a fuzzer would find it, and a key that users write into a message is shown unchanged.
    pub fn text(&mut self) -> String {
        let bytes = self.short_bytes();
        let text: String = bytes.utf8_chunks().map(|chunk| chunk.valid()).collect();
        text.replace(CANARY, "")
    }

    pub fn choose<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }

    pub fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.bytes(8);
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }

    /// From a nanosecond to thirteen days, all magnitudes equally likely: no input is long enough to reach the end of
    /// time.
    pub fn duration(&mut self) -> Duration {
        Duration::from_nanos(1 << (self.byte() % 51))
    }
}
