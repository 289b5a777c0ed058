//! The options of a client, the same for every transport.

use crate::{proxy::Proxies, target::Peer};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{
    error::Error,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// The options of a client. An option that is not set has its default.
///
/// ```
/// # fn main() -> Result<(), unifiedai_http::ConfigError> {
/// use std::time::Duration;
/// use unifiedai_http::Options;
///
/// let options = Options::new()
///     .idle_timeout(Duration::from_secs(5))
///     .max_idle_connections(8);
/// # let _ = options;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The caller's own TLS configuration, instead of the roots and the client certificate below. The transport sets
    /// ALPN.
    pub tls: Option<Arc<ClientConfig>>,
    /// Certificates of authorities that are trusted in addition to the default roots.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Verifies servers by the operating system's rules and roots instead of Mozilla's roots.
    #[cfg(feature = "platform-verifier")]
    pub platform_roots: bool,
    /// The client's own certificate chain and key, for servers that require one.
    pub client_certificate: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    /// The proxies of requests.
    pub proxies: Proxies,
    /// Hosts whose names are not resolved, with their addresses.
    pub resolved: Vec<(Box<str>, Vec<IpAddr>)>,
    /// How long an idle connection is kept. Default: 14 s over HTTP/1.1, below the 15 s after which common servers
    /// close it; 90 s over HTTP/2, where the server announces that it closes.
    pub idle_timeout: Option<Duration>,
    /// How many idle HTTP/1.1 connections are kept per host and port. Default 64; 0 keeps none.
    pub max_idle_connections: usize,
    /// The time without traffic after which TCP keep-alive probes are sent. Default 30 s; `None` disables them.
    pub tcp_keep_alive: Option<Duration>,
    /// Whether HTTP/2 is offered to https servers, by ALPN. Default yes. ureq supports HTTP/1.1 only.
    pub http2: bool,
    /// The interval of keep-alive PINGs on HTTP/2 connections. Default 20 s; `None` disables them.
    pub http2_keep_alive: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            tls: None,
            extra_roots: Vec::new(),
            #[cfg(feature = "platform-verifier")]
            platform_roots: false,
            client_certificate: None,
            proxies: Proxies::default(),
            resolved: Vec::new(),
            idle_timeout: None,
            max_idle_connections: 64,
            tcp_keep_alive: Some(Duration::from_secs(30)),
            http2: true,
            http2_keep_alive: Some(Duration::from_secs(20)),
        }
    }
}

impl Options {
    /// The default options.
    #[must_use]
    pub fn new() -> Self {
        Options::default()
    }

    /// Uses the caller's own TLS configuration, except for ALPN, which the transport sets. Excludes the other TLS
    /// options.
    #[must_use]
    pub fn tls(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.tls = Some(config.into());
        self
    }

    /// Trusts the authorities in a PEM text in addition to the default roots, for servers with certificates of a
    /// private authority.
    ///
    /// # Errors
    /// If the text has no certificate, or an invalid one.
    pub fn extra_roots_pem(mut self, pem: &[u8]) -> Result<Self, ConfigError> {
        self.extra_roots
            .extend(certificates(pem, "extra_roots_pem")?);
        Ok(self)
    }

    /// Verifies servers by the operating system's rules and roots instead of Mozilla's roots. On Linux and similar
    /// systems `SSL_CERT_FILE` and `SSL_CERT_DIR` select other roots.
    #[cfg(feature = "platform-verifier")]
    #[must_use]
    pub fn platform_roots(mut self) -> Self {
        self.platform_roots = true;
        self
    }

    /// Sends this certificate to servers that require one: its chain and its private key as PEM texts.
    ///
    /// # Errors
    /// If a text lacks the certificate or key, or has an invalid one.
    pub fn client_certificate_pem(mut self, chain: &[u8], key: &[u8]) -> Result<Self, ConfigError> {
        let chain = certificates(chain, "client_certificate_pem")?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            ConfigError::new("client_certificate_pem: the text has no private key that can be read")
        })?;
        self.client_certificate = Some(Arc::new((chain, key)));
        Ok(self)
    }

    /// Uses these addresses for a host instead of resolving its name. The request and the certificate check still use
    /// the name.
    #[must_use]
    pub fn resolve(mut self, host: &str, addresses: &[IpAddr]) -> Self {
        self.resolved.push((host.into(), addresses.to_vec()));
        self
    }

    /// The addresses of a host that is an address itself or is one of [`resolved`](Self::resolved).
    #[must_use]
    pub fn known_addresses(&self, peer: &Peer<'_>) -> Option<Vec<SocketAddr>> {
        if let Ok(address) = peer.host.parse() {
            return Some(vec![SocketAddr::new(address, peer.port)]);
        }
        let known = |(name, _): &&(Box<str>, Vec<IpAddr>)| name.eq_ignore_ascii_case(peer.host);
        let (_, addresses) = self.resolved.iter().rfind(known)?;
        let with_port = |address: &IpAddr| SocketAddr::new(*address, peer.port);
        Some(addresses.iter().map(with_port).collect())
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $option:ident: $value:ty;)*) => {
        impl Options {
            $($(#[$doc])*
            #[must_use]
            pub fn $option(mut self, value: $value) -> Self {
                self.$option = value.into();
                self
            })*
        }
    };
}

setters! {
    /// Sends requests through these proxies instead of those of the environment.
    proxies: Proxies;
    /// Closes a connection that was idle for this long.
    idle_timeout: Duration;
    /// Limits the idle HTTP/1.1 connections per host and port.
    max_idle_connections: usize;
    /// Sends TCP keep-alive probes after this time without traffic.
    tcp_keep_alive: Option<Duration>;
    /// Offers HTTP/2 to https servers, or only HTTP/1.1.
    http2: bool;
    /// Sends PINGs on HTTP/2 connections at this interval.
    http2_keep_alive: Option<Duration>;
}

fn certificates(pem: &[u8], option: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(ConfigError::new(format!(
            "{option}: the text has no certificate that can be read"
        ))),
    }
}

/// An invalid option. The text names the option and the problem, and contains no secret.
#[derive(Debug)]
pub struct ConfigError(Box<str>);

impl ConfigError {
    /// Creates an error with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        ConfigError(text.into().into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ConfigError {}
