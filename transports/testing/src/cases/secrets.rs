//! What failures do not tell.

use super::support::{Tls, plain, soon};
use crate::Server;
use std::{error::Error, net::TcpListener};
use unifiedai_transport::{RequestBody, Transport};

pub fn failures_contain_no_secret<T: Transport>(make: fn(Tls) -> T) {
    let transport = plain(make);
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let garbage = Server::closing("SSH-2.0\r\n\r\n");
    let cut = Server::closing("");
    let uris = [
        format!("http://user:CANARY@{closed}/CANARY?key=CANARY"),
        format!("http://user:CANARY@{}/CANARY?key=CANARY", garbage.address()),
        format!("http://user:CANARY@{}/CANARY?key=CANARY", cut.address()),
        "ftp://user:CANARY@127.0.0.1/CANARY?key=CANARY".to_owned(),
        "http://user:CANARY@no-such-host.invalid/CANARY?key=CANARY".to_owned(),
        "/CANARY?key=CANARY".to_owned(),
    ];
    for uri in uris {
        let request = http::Request::post(&uri)
            .header("authorization", "Bearer CANARY")
            .body(RequestBody::from("CANARY"));
        let failure = transport
            .send(request.unwrap(), soon(&transport))
            .err()
            .unwrap();
        let mut told = format!("{failure} {failure:?}");
        let mut cause = failure.source();
        while let Some(error) = cause {
            told += &format!(" {error} {error:?}");
            cause = error.source();
        }
        assert!(!told.contains("CANARY"), "{told}");
    }
}
