//! The same calls over plain ureq, without decoding.

use std::{
    io::Read,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};
use unifiedai_baselines::{self as baselines, Arguments};
use ureq::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};

fn main() {
    let arguments = Arguments::parse();
    let agent = agent(&arguments);
    let (started, received) = (AtomicU64::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..arguments.concurrency {
            scope.spawn(|| {
                let mut buffer = vec![0; 16 << 10];
                while started.fetch_add(1, Relaxed) < arguments.calls {
                    let request = agent
                        .post(arguments.url())
                        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                        .header(ACCEPT, HeaderValue::from_static(arguments.accept()))
                        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
                        .header(USER_AGENT, HeaderValue::from_static(baselines::USER_AGENT));
                    let response = request.send(arguments.body()).expect("an answer");
                    let mut reader = response.into_body().into_reader();
                    loop {
                        match reader.read(&mut buffer).expect("bytes") {
                            0 => break,
                            n => received.fetch_add(n, Relaxed),
                        };
                    }
                }
            });
        }
    });
    println!("{} bytes", received.into_inner());
}

fn agent(arguments: &Arguments) -> ureq::Agent {
    let Some(pem) = &arguments.root_pem else {
        return ureq::Agent::new_with_defaults();
    };
    let root = ureq::tls::Certificate::from_pem(pem).expect("a certificate");
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::new_with_certs(&[root]))
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(
            rustls::crypto::ring::default_provider(),
        ));
    ureq::Agent::config_builder()
        .tls_config(tls.build())
        .build()
        .into()
}
