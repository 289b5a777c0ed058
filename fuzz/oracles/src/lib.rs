//! Shared by both comparisons: random numbers that are the same in every run.

/// The seed of all comparisons, unless `SEED` is set.
pub fn rng() -> Rng {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    Rng(seed)
}

/// The number of random cases of each comparison, unless `CASES` is set.
pub fn cases() -> usize {
    std::env::var("CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(20_000)
}

/// SplitMix64.
pub struct Rng(u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn bytes(&mut self, end: usize) -> Vec<u8> {
        let len = self.below(end);
        (0..len).map(|_| self.next() as u8).collect()
    }

    pub fn text(&mut self, from: &str, end: usize) -> String {
        let chars: Vec<char> = from.chars().collect();
        let len = self.below(end);
        (0..len).map(|_| self.pick(&chars)).collect()
    }
}
