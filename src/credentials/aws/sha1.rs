//! SHA-1 (FIPS 180-4), with which the AWS CLI names its cache files. It protects nothing here, and a crate for it
//! would be a dependency of every user of Bedrock.

/// The digest of a text of less than 512 MiB in lower-case hexadecimal digits.
pub(super) fn hex_digest(message: &[u8]) -> String {
    let mut padded = message.to_vec();
    let bits = u64::try_from(message.len())
        .unwrap_or(u64::MAX)
        .wrapping_mul(8);
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&bits.to_be_bytes());
    let mut state = [
        0x6745_2301_u32,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    for block in padded.chunks_exact(64) {
        let mut words: Vec<u32> = block
            .chunks_exact(4)
            .map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
            .collect();
        for at in 16_usize..80 {
            let word = |back: usize| {
                at.checked_sub(back)
                    .and_then(|at| words.get(at))
                    .copied()
                    .unwrap_or(0)
            };
            words.push((word(3) ^ word(8) ^ word(14) ^ word(16)).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (round, word) in words.into_iter().enumerate() {
            let (mixed, constant) = match round {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(mixed)
                .wrapping_add(e)
                .wrapping_add(constant)
                .wrapping_add(word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, word) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(word);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        for (text, digest) in [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
            ("corp", "ee0bfd2552fbd840c02cc48b6e823320543c450f"),
            (
                "https://corp.awsapps.com/start",
                "a51746d4aa793ae07b25e90c3a5db96fc7832bd7",
            ),
        ] {
            assert_eq!(hex_digest(text.as_bytes()), digest);
        }
        let long = "a".repeat(1_000_000);
        assert_eq!(
            hex_digest(long.as_bytes()),
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f"
        );
    }
}
