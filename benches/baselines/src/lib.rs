//! Shared by the baselines: the arguments of the `load` example, and its request.

/// The user agent.
pub const USER_AGENT: &str = "floor/0.1.0";

/// `BASE_URL chat|stream N CONCURRENCY MODEL [--tls CA_FILE] [--http2]`.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// The base URL, with the version path.
    pub base_url: String,
    /// Whether the response is streamed.
    pub stream: bool,
    /// The number of calls.
    pub calls: u64,
    /// The number of concurrent calls.
    pub concurrency: u64,
    /// The model.
    pub model: String,
    /// The trusted certificate, as PEM, for an https base URL.
    pub root_pem: Option<Vec<u8>>,
    /// Whether only HTTP/2 is offered over TLS; otherwise only HTTP/1.1.
    pub http2: bool,
}

impl Arguments {
    /// Parses the command line.
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark reads its own figures"
    )]
    pub fn parse() -> Self {
        let (mut words, mut root_pem, mut http2) = (Vec::new(), None, false);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--tls" => {
                    let path = arguments.next().unwrap_or_default();
                    root_pem = Some(
                        std::fs::read(&path).unwrap_or_else(|e| usage(&format!("{path}: {e}"))),
                    );
                }
                "--http2" => http2 = true,
                _ => words.push(argument),
            }
        }
        let Ok([base_url, mode, calls, concurrency, model]) = <[String; 5]>::try_from(words) else {
            usage("five arguments are needed")
        };
        let number = |text: &str| {
            let number = text.parse();
            number.unwrap_or_else(|_| usage(&format!("`{text}` is no number")))
        };
        Arguments {
            stream: mode == "stream",
            calls: number(&calls),
            concurrency: number(&concurrency),
            base_url,
            model,
            root_pem,
            http2,
        }
    }

    /// A TLS configuration that trusts only `root_pem`. The client sets ALPN.
    pub fn tls(&self) -> rustls::ClientConfig {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.root_pem.as_deref().unwrap_or_default()) {
            roots.add(root.expect("a certificate")).expect("a root");
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// The request's body, serialised for each call as a program would.
    pub fn body(&self) -> String {
        let options = if self.stream {
            r#","stream":true,"stream_options":{"include_usage":true}"#
        } else {
            ""
        };
        format!(
            r#"{{"model":"{}","messages":[{{"role":"user","content":"Why is fast inference important?"}}]{options}}}"#,
            self.model
        )
    }

    /// The `accept` header.
    pub fn accept(&self) -> &'static str {
        if self.stream {
            "text/event-stream"
        } else {
            "application/json"
        }
    }

    /// The request's URL.
    pub fn url(&self) -> String {
        format!("{}/chat/completions", self.base_url)
    }
}

fn usage(why: &str) -> ! {
    eprintln!("{why}\nusage: BASE_URL chat|stream N CONCURRENCY MODEL [--tls CA_FILE] [--http2]");
    std::process::exit(2)
}
