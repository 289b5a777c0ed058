//! nginx: certificates of both sides, and connections that it closes.

use super::{
    Fetch,
    authority::{Authority, Identity},
    clients,
    programs::{Folder, Program, free_address, installed},
};
use std::{net::SocketAddr, process::Command, sync::Arc, thread};
use unifiedai::transport::{
    Options, RequestDelivery, TransportError, TransportErrorKind, proxy::Proxies,
};

pub(crate) const HELLO: &str = "hello from nginx";

pub(crate) struct Nginx {
    program: Program,
    tls: SocketAddr,
}

impl Nginx {
    pub(crate) fn http(&self, host: &str) -> String {
        format!("http://{host}:{}/", self.program.address.port())
    }

    pub(crate) fn https(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.tls.port())
    }
}

/// Starts nginx with this certificate and these additional directives.
pub(crate) fn nginx(identity: &Identity, directives: &str) -> Option<Nginx> {
    let program = installed("nginx")?;
    let (folder, address, tls) = (Folder::new(), free_address(), free_address());
    let certificate = folder.write("server.pem", &identity.certificate);
    let key = folder.write("server.key", &identity.key);
    let path = folder.path().display();
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {path}/nginx.pid; error_log {path}/error.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; client_body_temp_path {path}/a; proxy_temp_path {path}/b; fastcgi_temp_path {path}/c;\n\
         uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;\n\
         server {{ listen {address}; listen {tls} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key};\n\
         {directives}\n location / {{ return 200 '{HELLO}'; }} }} }}\n"
    );
    let config = folder.write("nginx.conf", &config);
    let mut command = Command::new(program);
    command.args(["-c", &config, "-p", &path.to_string()]);
    let program = Program::start(command, address, folder);
    Some(Nginx { program, tls })
}

fn direct(authority: &Authority) -> Options {
    let options = Options::new().proxies(Proxies::none());
    options.extra_roots_pem(authority.root.as_bytes()).unwrap()
}

#[test]
fn a_private_authority_is_trusted_if_it_was_added() {
    let authority = Authority::new("a private authority");
    let Some(server) = nginx(&authority.identity(&["127.0.0.1"]), "") else {
        return;
    };
    let uri = server.https("127.0.0.1");
    for (transport, fetch) in clients(&direct(&authority)) {
        let answer = fetch(&uri).unwrap_or_else(|e| panic!("{transport}: {e}"));
        assert_eq!(answer, (200, HELLO.to_owned()), "{transport}");
    }
    for (transport, fetch) in clients(&direct(&Authority::new("another one"))) {
        let error = fetch(&uri).unwrap_err();
        assert_eq!(
            error.kind(),
            TransportErrorKind::Tls,
            "{transport}: {error:?}"
        );
        let text = error.to_string();
        assert!(text.contains("unknown issuer"), "{transport}: {text}");
        assert!(
            text.contains(&server.tls.to_string()),
            "{transport}: {text}"
        );
    }
}

#[test]
fn client_certificate_is_sent_on_request() {
    let authority = Authority::new("a private authority");
    let folder = Folder::new();
    let root = folder.write("root.pem", &authority.root);
    let directives = format!("ssl_client_certificate {root}; ssl_verify_client on;");
    let Some(server) = nginx(&authority.identity(&["127.0.0.1"]), &directives) else {
        return;
    };
    let uri = server.https("127.0.0.1");
    let mine = authority.identity(&["client.test"]);
    let with = direct(&authority)
        .client_certificate_pem(mine.certificate.as_bytes(), mine.key.as_bytes())
        .unwrap();
    for (transport, fetch) in clients(&with) {
        let answer = fetch(&uri).unwrap_or_else(|e| panic!("{transport}: {e}"));
        assert_eq!(answer, (200, HELLO.to_owned()), "{transport}");
    }
    // nginx completes the handshake and then reports the missing certificate.
    for (transport, fetch) in clients(&direct(&authority)) {
        let (status, text) = fetch(&uri).unwrap_or_else(|e| panic!("{transport}: {e}"));
        assert_eq!(status, 400, "{transport}");
        assert!(
            text.contains("No required SSL certificate"),
            "{transport}: {text}"
        );
    }
}

/// nginx closes each connection after five requests.
#[test]
fn no_call_fails_though_connections_are_closed_all_the_time() {
    const CALLS: usize = 5_000;
    const THREADS: usize = 8;
    let authority = Authority::new("a private authority");
    let directives = "keepalive_requests 5;";
    let Some(server) = nginx(&authority.identity(&["127.0.0.1"]), directives) else {
        return;
    };
    for (transport, fetch) in clients(&direct(&authority).http2(false)) {
        for (uri, calls) in [
            (server.http("127.0.0.1"), CALLS),
            (server.https("127.0.0.1"), CALLS / 5),
        ] {
            let work = |_| {
                let (fetch, uri) = (Arc::clone(&fetch), uri.clone());
                thread::spawn(move || {
                    let one = |_| as_the_core_does(&fetch, &uri).err();
                    (0..calls / THREADS).filter_map(one).collect::<Vec<_>>()
                })
            };
            let running: Vec<_> = (0..THREADS).map(work).collect();
            let failed = running
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            let failed: Vec<_> = failed.collect();
            assert!(
                failed.is_empty(),
                "{transport}: {uri}: {} of {calls}: {:?}",
                failed.len(),
                failed.first()
            );
        }
    }
}

/// Repeats certainly unsent requests, at most twice.
fn as_the_core_does(fetch: &Fetch, uri: &str) -> Result<(u16, String), TransportError> {
    let is_unsent = |error: &TransportError| {
        error.kind() == TransportErrorKind::Reset && error.delivery() == RequestDelivery::NotSent
    };
    let mut answer = fetch(uri);
    for _ in 0..2 {
        match answer {
            Err(error) if is_unsent(&error) => answer = fetch(uri),
            other => return other,
        }
    }
    answer
}
