//! What stays in memory of a key.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{future::Future, sync::Mutex};
use unifiedai_smol::{Options, SmolTransport};
use unifiedai_transport_testing::{
    BlockOn, Blocking,
    memory::{a_proxy_password_is_wiped, copies_of_a_key_do_not_grow_with_calls},
};

#[derive(Clone)]
struct Reactor;

impl BlockOn for Reactor {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_io::block_on(future)
    }
}

/// What one test holds another would find.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// hyper's buffer of a connection holds the head of its last request, and only hyper could wipe it.
#[test]
fn copies_of_a_key_do_not_grow() {
    let one_at_a_time = ONE_AT_A_TIME.lock().unwrap();
    let client = Blocking(SmolTransport::new(), Reactor);
    copies_of_a_key_do_not_grow_with_calls(&client);
    drop(one_at_a_time);
}

/// Without a tunnel it is in hyper's buffer as a key is.
#[test]
fn no_copy_of_a_proxys_password_stays_after_its_transport() {
    let one_at_a_time = ONE_AT_A_TIME.lock().unwrap();
    a_proxy_password_is_wiped(
        |proxies| {
            Blocking(
                SmolTransport::with_options(Options::new().proxies(proxies)).unwrap(),
                Reactor,
            )
        },
        &[
            (
                "http",
                "https://a.test/",
                b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            ),
            ("socks5h", "http://a.test/", &[5, 2]),
        ],
    );
    drop(one_at_a_time);
}
