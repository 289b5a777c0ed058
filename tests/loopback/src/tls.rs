//! An HTTPS front of the provider: TLS, and HTTP/2 for clients that offer it.
//!
//! HTTP/1.1 is forwarded byte by byte. An HTTP/2 request is forwarded as an HTTP/1.1 request on its own connection.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version, client, server};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The limit of concurrent streams per connection.
const MAX_STREAMS: u32 = 100;

type Fault = Box<dyn Error + Send + Sync>;
type Body = http_body_util::Either<Incoming, http_body_util::Full<bytes::Bytes>>;

/// A listener that terminates TLS and forwards to the plain server.
#[derive(Debug)]
pub(crate) struct Front {
    address: SocketAddr,
    root_pem: String,
}

impl Front {
    /// Listens on a free port. Must be called inside a runtime, which runs it.
    pub(crate) fn start(plain: SocketAddr) -> io::Result<Self> {
        let (config, root_pem) = self_signed().map_err(io::Error::other)?;
        let listener = crate::listen(0)?;
        let address = listener.local_addr()?;
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), plain));
        Ok(Self { address, root_pem })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn root_pem(&self) -> &str {
        &self.root_pem
    }
}

/// A certificate for this machine, created for each server, and the PEM text that clients must trust.
fn self_signed() -> Result<(ServerConfig, String), Fault> {
    let key = rcgen::KeyPair::generate()?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names)?.self_signed(&key)?;
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, certificate.pem()))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, plain: SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connection(stream, plain).await;
                    }
                });
            }
            // Probably out of file descriptors: some are freed when clients disconnect.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Serves one client until it disconnects. A failure on either side ends the connection, which the client sees.
async fn connection(mut stream: TlsStream<TcpStream>, plain: SocketAddr) {
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        if let Ok(mut inner) = connect(plain).await {
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
        }
        return;
    }
    let service = service_fn(move |request| async move {
        Ok::<_, Infallible>(forward(request, plain).await.unwrap_or_else(bad_gateway))
    });
    let _ = server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(MAX_STREAMS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn connect(plain: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(plain).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn forward(
    mut request: Request<Incoming>,
    plain: SocketAddr,
) -> Result<Response<Body>, Fault> {
    let io = TokioIo::new(connect(plain).await?);
    let (mut sender, connection) = client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    if let Some(authority) = request.uri().authority() {
        let host = authority.as_str().parse()?;
        request.headers_mut().insert(HOST, host);
    }
    if let Some(path) = request.uri().path_and_query() {
        *request.uri_mut() = path.clone().into();
    }
    *request.version_mut() = Version::HTTP_11;
    let mut response = sender.send_request(request).await?;
    // HTTP/2 has no such headers.
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove(TRANSFER_ENCODING);
    *response.version_mut() = Version::HTTP_2;
    Ok(response.map(http_body_util::Either::Left))
}

/// For a response whose headers are not HTTP.
fn bad_gateway(fault: Fault) -> Response<Body> {
    let text = bytes::Bytes::from(format!(
        "the provider's answer cannot be passed on: {fault}"
    ));
    let mut response = Response::new(http_body_util::Either::Right(text.into()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
