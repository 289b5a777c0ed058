//! What stays in this process's memory of a key. Linux only.

use crate::{Peer, Server};
use bytes::Bytes;
use http::HeaderValue;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
};
use unifiedai_http::proxy::Proxies;
use unifiedai_transport::{AttemptDeadlines, RequestBody, ResponseBody as _, Time, Transport};

/// The end of the key with one added to each byte, so that it is not found in the test itself. The key begins with [`FILLING`], because
/// an allocator writes into the first bytes of what is freed.
const HIDDEN: &[u8] = b"dbobsz.lfz.uibu.jt.mpohz";
const FILLING: [u8; 24] = [b'-'; 24];
/// The same of a proxy's password, which calls with the key must not leave behind.
const HIDDEN_PASSWORD: &[u8] = b"qbttxpse.uibu.jt.mpoh.up";
/// The end of `user`, a colon and the password in Base64, with one added to each byte.
const HIDDEN_LOGIN: &[u8] = b"ZYO{e3:z[D21bHG1MXm{MXywcndueH9>";

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
    let before = copies(HIDDEN);
    let held = key(HIDDEN);
    assert!(
        copies(HIDDEN) > before,
        "the search does not find what is there"
    );
    drop(held);
    for _ in 0..calls {
        let request = http::Request::get(uri).header("authorization", key(HIDDEN));
        let request = request.body(RequestBody::default()).unwrap();
        let mut body = transport
            .send(request, AttemptDeadlines::NONE)
            .unwrap()
            .into_body();
        while body.chunk(Time::MAX).unwrap().is_some() {}
    }
    copies(HIDDEN)
}

/// No copy of a proxy's password is left once the transport is dropped: neither as it was given nor as it is sent. The target is one for
/// each way of talking to a proxy.
pub fn a_proxy_password_is_wiped<T: Transport>(
    make: impl Fn(Proxies) -> T,
    cases: &[(&str, &str, &'static [u8])],
) {
    for &(scheme, target, answer) in cases {
        let proxy = Server::new(move |peer| {
            while peer.some_wiped().is_some() {
                peer.write(answer);
            }
        });
        let held = key(HIDDEN_PASSWORD);
        let mut url = String::with_capacity(128);
        url.extend([scheme, "://user:"]);
        url.extend(held.as_bytes().iter().map(|byte| char::from(*byte)));
        url.extend(["@", &proxy.address().to_string()]);
        drop(held);
        let transport = make(Proxies::all(&url));
        let mut url = url.into_bytes();
        url.fill(0);
        std::hint::black_box(&url);
        assert!(
            copies(HIDDEN_PASSWORD) > 0,
            "the search does not find what is there"
        );
        for _ in 0..3 {
            let request = http::Request::get(target)
                .body(RequestBody::default())
                .unwrap();
            drop(transport.send(request, AttemptDeadlines::NONE));
        }
        assert!(proxy.connections() > 0);
        drop(transport);
        assert_eq!(copies(HIDDEN_PASSWORD), 0, "{scheme} {target}");
        assert_eq!(copies(HIDDEN_LOGIN), 0, "{scheme} {target}");
    }
}

/// Places in this process's writable memory that hold a text, given with one added to each byte.
fn copies(hidden: &[u8]) -> usize {
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
                let same = |(a, b): (&u8, &u8)| *a == b.wrapping_sub(1);
                window.iter().zip(hidden).all(same)
            };
            // Most memory was never written, and compares fast.
            if part[..size] != zeros[..size] {
                found += part[..size].windows(hidden.len()).filter(is_key).count();
            }
            // Or it would find itself.
            part.fill(0);
            at += u64::try_from(size.saturating_sub(hidden.len()).max(1)).unwrap();
        }
    }
    found
}

/// Wiped when it is dropped, as the core does it.
struct Key(Vec<u8>);

fn key(hidden: &[u8]) -> HeaderValue {
    let end = hidden.iter().map(|byte| byte.wrapping_sub(1));
    let key = FILLING.into_iter().chain(end).collect();
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
