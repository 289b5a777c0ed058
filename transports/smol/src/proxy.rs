//! A tunnel through a proxy where the environment asks for one.

use crate::tcp::Tcp;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use std::{fmt::Write as _, io};
use unifiedai_pool::Target;
use unifiedai_transport::is_loopback;

pub(crate) struct Proxies(Matcher);

/// A proxy to ask for a tunnel.
pub(crate) struct Proxy {
    pub(crate) address: Target,
    auth: Option<HeaderValue>,
}

impl Proxies {
    pub(crate) fn from_env() -> Self {
        Proxies(Matcher::from_env())
    }

    /// The proxy on the way to a host, if any. One that cannot be used is an error: a connection past it would be
    /// against what the environment asks.
    pub(crate) fn before(&self, target: &Target) -> io::Result<Option<Proxy>> {
        if is_loopback(&target.host) {
            return Ok(None);
        }
        let scheme = if target.tls { "https" } else { "http" };
        let uri = format!("{scheme}://{}/", target.authority());
        let Some(proxy) = uri.parse().ok().and_then(|uri| self.0.intercept(&uri)) else {
            return Ok(None);
        };
        let auth = proxy.basic_auth().cloned();
        match (proxy.uri().scheme_str(), proxy.uri().host()) {
            (Some("http"), Some(host)) => {
                let port = proxy.uri().port_u16().unwrap_or(80);
                let address = Target::new(false, host, port);
                Ok(Some(Proxy { address, auth }))
            }
            _ => Err(io::Error::other("only http:// proxies are supported")),
        }
    }
}

impl Proxy {
    /// Makes of a connection to the proxy one to the target.
    pub(crate) async fn tunnel(&self, tcp: &mut Tcp, target: &Target) -> io::Result<()> {
        let to = target.authority();
        let mut ask = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(Ok(auth)) = self.auth.as_ref().map(HeaderValue::to_str) {
            let _ = write!(ask, "Proxy-Authorization: {auth}\r\n");
        }
        ask.push_str("\r\n");
        tcp.write_all(ask.as_bytes()).await?;
        let head = read_head(tcp).await?;
        match head.get(..12) {
            Some(b"HTTP/1.1 200" | b"HTTP/1.0 200") => Ok(()),
            Some([b'H', b'T', b'T', b'P', .., b'4', b'0', b'7']) => {
                Err(io::Error::other("the proxy wants other credentials"))
            }
            _ => Err(io::Error::other("the proxy refused the tunnel")),
        }
    }
}

const HEAD_SIZE: usize = 8 * 1024;

/// Byte by byte, because what follows belongs to the target.
async fn read_head(tcp: &mut Tcp) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_SIZE {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        tcp.read_exact(&mut byte).await?;
        head.extend_from_slice(&byte);
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error() {
        let target = |host: &str| Target::new(true, host, 443);
        let proxies = Proxies(Matcher::builder().all("socks5://a.test:1").build());
        assert!(proxies.before(&target("b.test")).is_err());
        assert!(matches!(proxies.before(&target("::1")), Ok(None)));
        let proxies = Proxies(
            Matcher::builder()
                .all("http://[fd00::1]")
                .no("c.test")
                .build(),
        );
        let proxy = proxies.before(&target("fd00::2")).unwrap().unwrap();
        assert_eq!((&*proxy.address.host, proxy.address.port), ("fd00::1", 80));
        assert!(matches!(proxies.before(&target("c.test")), Ok(None)));
    }
}
