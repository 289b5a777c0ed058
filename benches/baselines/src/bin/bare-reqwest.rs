//! The same calls over plain reqwest, without decoding.

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use std::{cell::Cell, rc::Rc};
use unifiedai_baselines::{self as baselines, Arguments};

fn main() {
    let arguments = Rc::new(Arguments::parse());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let received = runtime.block_on(tokio::task::LocalSet::new().run_until(async move {
        let mut tls = arguments.tls();
        let mut builder = reqwest::Client::builder();
        if arguments.http2 {
            tls.alpn_protocols = vec![b"h2".to_vec()];
            builder = builder.http2_prior_knowledge();
        } else {
            builder = builder.http1_only();
        }
        let client = builder
            .use_preconfigured_tls(tls)
            .build()
            .expect("a client");
        let (started, received) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let tasks: Vec<_> = (0..arguments.concurrency)
            .map(|_| {
                let (client, arguments) = (client.clone(), arguments.clone());
                let (started, received) = (started.clone(), received.clone());
                tokio::task::spawn_local(async move {
                    while started.get() < arguments.calls {
                        started.set(started.get() + 1);
                        let request = client
                            .post(arguments.url())
                            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                            .header(ACCEPT, HeaderValue::from_static(arguments.accept()))
                            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
                            .header(USER_AGENT, HeaderValue::from_static(baselines::USER_AGENT))
                            .body(arguments.body());
                        let mut response = request.send().await.expect("an answer");
                        while let Some(chunk) = response.chunk().await.expect("a chunk") {
                            received.set(received.get() + chunk.len());
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
