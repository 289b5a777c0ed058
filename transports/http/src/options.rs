//! The options of a client, alike for every transport.

use crate::proxy::Proxies;
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

/// The options of a client. What is not set keeps its default.
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
    /// TLS as configured by the caller, in place of the roots and the client certificate below. ALPN is set by the transport.
    pub tls: Option<Arc<ClientConfig>>,
    /// Certificates of authorities that are trusted besides the usual ones.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Servers are verified by the operating system's rules and roots instead of Mozilla's roots.
    #[cfg(feature = "platform-verifier")]
    pub platform_roots: bool,
    /// The client's own certificate, its chain and its key, for servers that ask for one.
    pub client_certificate: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    /// Which proxy a request goes through.
    pub proxies: Proxies,
    /// Hosts whose names are not looked up, with their addresses.
    pub resolved: Vec<(Box<str>, Vec<IpAddr>)>,
    /// How long a connection waits for its next request before it is closed. Without a value 14 s over HTTP/1.1, below the 15 s after
    /// which common servers close it, and 90 s over HTTP/2, which says so when it closes.
    pub idle_timeout: Option<Duration>,
    /// How many HTTP/1.1 connections to one host and port may wait for their next request. 64 by default; 0 keeps none.
    pub max_idle_connections: usize,
    /// After how long without traffic TCP asks whether the peer is still there. 30 s by default; `None` leaves it off.
    pub tcp_keep_alive: Option<Duration>,
    /// Whether HTTP/2 is offered to https servers, by ALPN. It is by default. ureq speaks HTTP/1.1 alone.
    pub http2: bool,
    /// How often an HTTP/2 connection is asked by PING whether it lives. 20 s by default; `None` leaves it off.
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
    /// All at their defaults.
    #[must_use]
    pub fn new() -> Self {
        Options::default()
    }

    /// TLS as configured by the caller, except for ALPN, which the transport sets. Excludes the other options of TLS.
    #[must_use]
    pub fn tls(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.tls = Some(config.into());
        self
    }

    /// Trusts the authorities in a PEM text besides the usual ones, for servers with certificates of a private authority.
    ///
    /// # Errors
    /// If the text has no certificate or one that cannot be read.
    pub fn extra_roots_pem(mut self, pem: &[u8]) -> Result<Self, ConfigError> {
        self.extra_roots
            .extend(certificates(pem, "extra_roots_pem")?);
        Ok(self)
    }

    /// Verifies servers by the operating system's rules and roots instead of Mozilla's roots. On Linux and its like
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name other roots.
    #[cfg(feature = "platform-verifier")]
    #[must_use]
    pub fn platform_roots(mut self) -> Self {
        self.platform_roots = true;
        self
    }

    /// Shows this certificate to servers that ask for one: its chain and its private key as PEM texts.
    ///
    /// # Errors
    /// If one of the texts lacks what it is for, or has one that cannot be read.
    pub fn client_certificate_pem(mut self, chain: &[u8], key: &[u8]) -> Result<Self, ConfigError> {
        let chain = certificates(chain, "client_certificate_pem")?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            ConfigError::new("client_certificate_pem: the text has no private key that can be read")
        })?;
        self.client_certificate = Some(Arc::new((chain, key)));
        Ok(self)
    }

    /// Uses these addresses for a host instead of looking its name up. The name still stands in the request and in its certificate.
    #[must_use]
    pub fn resolve(mut self, host: &str, addresses: &[IpAddr]) -> Self {
        self.resolved.push((host.into(), addresses.to_vec()));
        self
    }

    /// The addresses of a host that is an address itself or one of [`resolved`](Self::resolved).
    #[must_use]
    pub fn known_addresses(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Some(vec![SocketAddr::new(address, port)]);
        }
        let known = |(name, _): &&(Box<str>, Vec<IpAddr>)| name.eq_ignore_ascii_case(host);
        let (_, addresses) = self.resolved.iter().rfind(known)?;
        let with_port = |address: &IpAddr| SocketAddr::new(*address, port);
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
    /// Sends requests through these proxies instead of those that the environment names.
    proxies: Proxies;
    /// Closes a connection that has waited this long for its next request.
    idle_timeout: Duration;
    /// Lets so many HTTP/1.1 connections to one host and port wait for their next request.
    max_idle_connections: usize;
    /// Lets TCP ask after so long without traffic whether the peer is still there.
    tcp_keep_alive: Option<Duration>;
    /// Offers HTTP/2 to https servers, or HTTP/1.1 alone.
    http2: bool;
    /// Asks HTTP/2 connections by PING so often whether they live.
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

/// Options that no client can be made of. The text names the option and what is wrong with it, and no secret.
#[derive(Debug)]
pub struct ConfigError(Box<str>);

impl ConfigError {
    /// An error with this text.
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
