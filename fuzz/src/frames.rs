//! Writes AWS frames.

/// Frames from lines: an event's type and its payload; `!` marks an exception.
pub fn from_lines(lines: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for line in lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let (exception, line) = match line.strip_prefix(b"!") {
            Some(line) => (true, line),
            None => (false, line),
        };
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let (name, payload) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let (kind, named): (&[u8], &[u8]) = if exception {
            (b"exception", b":exception-type")
        } else {
            (b"event", b":event-type")
        };
        frame(
            &mut stream,
            &[(b":message-type", kind), (named, name)],
            payload,
        );
    }
    stream
}

fn frame(stream: &mut Vec<u8>, headers: &[(&[u8], &[u8])], payload: &[u8]) {
    let mut block = Vec::new();
    for (name, value) in headers {
        let value = &value[..value.len().min(1000)];
        block.push(u8::try_from(name.len()).unwrap());
        block.extend_from_slice(name);
        block.push(7);
        block.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        block.extend_from_slice(value);
    }
    let start = stream.len();
    for length in [16 + block.len() + payload.len(), block.len(), 0] {
        stream.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    }
    stream.extend_from_slice(&block);
    stream.extend_from_slice(payload);
    stream.extend_from_slice(&[0; 4]);
    forge_checksums(&mut stream[start..]);
}

/// Corrects the checksums, and lengths that are invalid.
pub fn forge_checksums(mut rest: &mut [u8]) {
    while rest.len() >= 16 {
        let claimed = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let total = if (16..=rest.len()).contains(&claimed) {
            claimed
        } else {
            rest.len()
        };
        let (frame, others) = rest.split_at_mut(total);
        frame[..4].copy_from_slice(&u32::try_from(total).unwrap().to_be_bytes());
        let prelude = crc32fast::hash(&frame[..8]);
        frame[8..12].copy_from_slice(&prelude.to_be_bytes());
        let all = crc32fast::hash(&frame[..total - 4]);
        frame[total - 4..].copy_from_slice(&all.to_be_bytes());
        rest = others;
    }
}
