//! The same calls over plain hyper with hyper-util's pool, without decoding.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::{cell::Cell, rc::Rc};
use unifiedai_baselines::{self as baselines, Arguments};

fn main() {
    let arguments = Rc::new(Arguments::parse());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let received = runtime.block_on(tokio::task::LocalSet::new().run_until(async move {
        let tls = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(arguments.tls())
            .https_or_http();
        let connector = if arguments.http2 {
            tls.enable_http2().build()
        } else {
            tls.enable_http1().build()
        };
        // Over HTTP/2 a client has one connection per host, on which the server allows a hundred streams.
        let share = if arguments.http2 { 100 } else { u64::MAX };
        let clients: Vec<Client<_, Full<Bytes>>> = (0..arguments.concurrency.div_ceil(share))
            .map(|_| {
                Client::builder(TokioExecutor::new())
                    .http2_only(arguments.http2)
                    .build(connector.clone())
            })
            .collect();
        let (started, received) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let tasks: Vec<_> = (0..arguments.concurrency)
            .map(|n| {
                let client = clients[(n / share) as usize].clone();
                let arguments = arguments.clone();
                let (started, received) = (started.clone(), received.clone());
                tokio::task::spawn_local(async move {
                    while started.get() < arguments.calls {
                        started.set(started.get() + 1);
                        let request = http::Request::post(arguments.url())
                            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                            .header(ACCEPT, HeaderValue::from_static(arguments.accept()))
                            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
                            .header(USER_AGENT, HeaderValue::from_static(baselines::USER_AGENT))
                            .body(Full::new(Bytes::from(arguments.body())))
                            .expect("a request");
                        let mut body = client
                            .request(request)
                            .await
                            .expect("an answer")
                            .into_body();
                        while let Some(frame) = body.frame().await {
                            let frame = frame.expect("a frame");
                            received.set(received.get() + frame.data_ref().map_or(0, Bytes::len));
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        received.get()
    }));
    println!("{received} bytes");
}
