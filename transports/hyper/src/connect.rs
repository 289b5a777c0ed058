//! TCP, a proxy's tunnel where the environment asks for one, TLS.

use crate::{clock::Timer, stream::Io};
use hyper::client::conn::http2;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::connect::{Connection as _, HttpConnector, proxy::Tunnel},
        proxy::matcher::{Intercept, Matcher},
    },
    rt::{TokioExecutor, TokioTimer},
};
use std::{
    error::Error,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower_service::Service;
use unifiedai_pool::{Connect, Connected, Target, error};
use unifiedai_transport::{Time, TransportError, is_loopback};

/// How long one host's addresses may take together if the request's own limit is longer: a dead address must not
/// eat the time of the next.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes connections.
pub(crate) struct Connector(HttpsConnector<Direct>);

impl Connector {
    pub(crate) fn new(mut tls: rustls::ClientConfig) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        tls.alpn_protocols.clear();
        let proxies = Arc::new(Matcher::from_env());
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions();
        Connector(https.wrap_connector(Direct { http, proxies }))
    }
}

impl Connect for Connector {
    type Alarm = Timer;

    async fn connect(&self, target: &Target, _: Time) -> Result<Connected, TransportError> {
        let host = &*target.host;
        let scheme = if target.tls { "https" } else { "http" };
        let uri = format!("{scheme}://{}/", target.authority());
        let uri: http::Uri = uri
            .parse()
            .map_err(|_| error::unsendable("the host is not a valid name"))?;
        let stream = self.0.clone().call(uri).await;
        let stream = stream.map_err(|failure| failed(failure, host))?;
        if !stream.connected().is_negotiated_h2() {
            // Plain TCP does not need the place that TLS would take.
            return Ok(Connected::Http1(match stream {
                MaybeHttpsStream::Http(tcp) => Box::new(Io(tcp)),
                tls @ MaybeHttpsStream::Https(_) => Box::new(Io(tls)),
            }));
        }
        // Boxed, because its future has tens of kilobytes and most connections do without it.
        Box::pin(http2(stream, host)).await
    }
}

async fn http2(
    stream: <HttpsConnector<Direct> as Service<http::Uri>>::Response,
    host: &str,
) -> Result<Connected, TransportError> {
    let (sender, driver) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(64 * 1024)
        .handshake(stream)
        .await
        .map_err(|failure| error::sending(failure, host))?;
    // Its error comes out at the requests.
    tokio::spawn(async move { drop(driver.await) });
    Ok(Connected::Http2(sender))
}

fn failed(failure: BoxError, host: &str) -> TransportError {
    let unresolved = error::chain(&*failure).any(|e| e.to_string().starts_with("dns error"));
    if unresolved {
        error::unresolved(io::Error::other(failure), host)
    } else {
        error::connecting(failure, host)
    }
}

/// A byte stream to the host, through a proxy if need be.
#[derive(Clone)]
pub(crate) struct Direct {
    http: HttpConnector,
    proxies: Arc<Matcher>,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Service<http::Uri> for Direct {
    type Response = <HttpConnector as Service<http::Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, host: http::Uri) -> Self::Future {
        let proxy = if host.host().is_some_and(is_loopback) {
            None
        } else {
            self.proxies.intercept(&host)
        };
        match proxy {
            None => {
                let connecting = self.http.call(host);
                Box::pin(async move { Ok(connecting.await?) })
            }
            Some(proxy) => self.tunnel(&proxy, host),
        }
    }
}

impl Direct {
    fn tunnel(&self, proxy: &Intercept, host: http::Uri) -> <Self as Service<http::Uri>>::Future {
        if proxy.uri().scheme_str() != Some("http") {
            return Box::pin(async { Err("only http:// proxies are supported".into()) });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        Box::pin(async move { Ok(tunnel.call(with_port(host)?).await?) })
    }
}

/// The tunnel takes 443 for a port that is not named.
fn with_port(host: http::Uri) -> Result<http::Uri, BoxError> {
    if host.port().is_some() || host.scheme_str() != Some("http") {
        return Ok(host);
    }
    let authority = format!("{}:80", host.host().unwrap_or_default());
    let uri = http::Uri::builder().scheme("http").authority(authority);
    Ok(uri.path_and_query("/").build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Uri;

    #[test]
    fn a_tunnel_to_plain_http_ends_at_port_80() {
        let uri = |uri| with_port(Uri::from_static(uri)).unwrap().to_string();
        assert_eq!(uri("http://a.example/x"), "http://a.example:80/");
        assert_eq!(uri("http://a.example:8080/"), "http://a.example:8080/");
        assert_eq!(uri("https://a.example/"), "https://a.example/");
    }
}
