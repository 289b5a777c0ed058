//! What stays in this process's memory of a key. Linux only.

use crate::{Peer, Server};
use bytes::Bytes;
use http::HeaderValue;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
};
use unifiedai_transport::{AttemptDeadlines, ResponseBody as _, Time, Transport};

/// The key with one added to each byte, so that it is not found in the test itself.
const HIDDEN: [u8; 24] = *b"dbobsz.lfz.uibu.jt.mpohz";

/// A kept connection's buffer may hold the key of its last request. It has no more of it after ten calls than after the first.
pub fn copies_of_a_key_do_not_grow_with_calls<T: Transport>(transport: &T) {
    let server = Server::new(answer);
    let uri = server.uri("/");
    let first = copies_after(transport, &uri, 1);
    let later = copies_after(transport, &uri, 9);
    assert_eq!(server.connections(), 1);
    assert!(later <= first, "{later} copies, and {first} after one call");
}

/// Wipes what it reads, because the server may be in the process that is searched.
pub fn answer(peer: &mut Peer) {
    while peer.some_wiped().is_some() {
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    }
}

/// How many copies of the key are left in this process's memory after so many calls that carry it. Nothing else in the process
/// may use the key meanwhile.
pub fn copies_after<T: Transport>(transport: &T, uri: &str, calls: usize) -> usize {
    let before = copies();
    let held = key();
    assert!(copies() > before, "the search does not find what is there");
    drop(held);
    for _ in 0..calls {
        let request = http::Request::get(uri).header("authorization", key());
        let request = request.body(Bytes::new()).unwrap();
        let mut body = transport
            .send(request, AttemptDeadlines::NONE)
            .unwrap()
            .into_body();
        while body.chunk(Time::MAX).unwrap().is_some() {}
    }
    copies()
}

/// Places in this process's writable memory that hold the key.
fn copies() -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut found = 0;
    let mut part = vec![0; 64 * 1024];
    let zeros = part.clone();
    for map in maps.lines().filter(|map| map.contains(" rw")) {
        let (range, _) = map.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [mut at, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        while at < end {
            let Ok(size) = memory.read_at(&mut part, at) else {
                break;
            };
            let is_key = |window: &&[u8]| {
                let same = |(a, b): (&u8, u8)| *a == b.wrapping_sub(1);
                window.iter().zip(HIDDEN).all(same)
            };
            // Most memory was never written, and compares fast.
            if part[..size] != zeros[..size] {
                found += part[..size].windows(HIDDEN.len()).filter(is_key).count();
            }
            // Or it would find itself.
            part.fill(0);
            at += u64::try_from(size.saturating_sub(HIDDEN.len()).max(1)).unwrap();
        }
    }
    found
}

/// Wiped when it is dropped, as the core does it.
struct Key(Vec<u8>);

fn key() -> HeaderValue {
    let key = HIDDEN.iter().map(|byte| byte.wrapping_sub(1)).collect();
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(Key(key))).unwrap();
    value.set_sensitive(true);
    value
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}
