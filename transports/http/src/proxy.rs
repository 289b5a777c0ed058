//! The proxy of a request, by the rules of curl.

use crate::{
    error::{proxy_refused, proxy_setting, wants_credentials},
    no_proxy::NoProxy,
    target::{Peer, Target, address_text},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::PROXY_AUTHENTICATE, uri::Authority};
use percent_encoding::percent_decode_str;
use std::{env, ffi::OsString, fmt, net::Ipv6Addr, sync::Arc};
use unifiedai_transport::{TransportError, is_link_local_service, is_loopback};
use zeroize::Zeroizing;

/// The proxy settings of a client.
///
/// Loopback hosts and the listed exceptions are reached directly. An invalid setting is an error of each request that
/// it concerns, before anything is sent. The default is [`from_env`](Self::from_env).
#[derive(Clone, Debug)]
pub struct Proxies {
    http: Setting,
    https: Setting,
    except: NoProxy,
}

/// The text says which variable or option is wrong, and never quotes its value.
type Setting = Option<Result<Arc<Proxy>, Arc<str>>>;

impl Proxies {
    /// No proxy, whatever the environment contains.
    #[must_use]
    pub fn none() -> Self {
        Proxies {
            http: None,
            https: None,
            except: NoProxy::default(),
        }
    }

    /// One proxy for all requests: `http://`, `https://`, `socks5://` or `socks5h://`, with percent-encoded user and
    /// password.
    #[must_use]
    pub fn all(url: &str) -> Self {
        let setting = Some(parse(url, "the option `proxy`"));
        Proxies {
            http: setting.clone(),
            https: setting,
            except: NoProxy::default(),
        }
    }

    /// Reaches these hosts without a proxy; the list has the format of `NO_PROXY`.
    #[must_use]
    pub fn except(mut self, hosts: &str) -> Self {
        self.except = NoProxy::parse(hosts);
        self
    }

    /// The proxies of the environment.
    ///
    /// For `http://` the first of `http_proxy`, `HTTP_PROXY`, `all_proxy` and `ALL_PROXY` that is not empty; for
    /// `https://` the first of `https_proxy`, `HTTPS_PROXY`, `all_proxy` and `ALL_PROXY`. Exceptions are in
    /// `no_proxy`, else `NO_PROXY`. `HTTP_PROXY` is ignored if `REQUEST_METHOD` is set, because in a CGI program its
    /// value comes from a request header.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "proxies are the transport's part, and come from the environment"
    )]
    pub fn from_env() -> Self {
        Proxies::from_variables(|name| env::var_os(name))
    }

    /// The proxies of a caller's variables instead of the environment's.
    pub fn from_variables(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = |names: &[&'static str]| {
            let set = |name| Some((name, get(name).filter(|value| !value.is_empty())?));
            names.iter().find_map(|&name| set(name))
        };
        let proxy = |names: &[&'static str]| {
            let (name, value) = first(names)?;
            let value = Zeroizing::new(value.into_encoded_bytes());
            Some(match std::str::from_utf8(&value) {
                Ok(url) => parse(url, &format!("the variable {name}")),
                Err(_) => Err(format!("the variable {name} is not UTF-8").into()),
            })
        };
        let http: &[&'static str] = match get("REQUEST_METHOD") {
            Some(_) => &["http_proxy", "all_proxy", "ALL_PROXY"],
            None => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let except = first(&["no_proxy", "NO_PROXY"]);
        Proxies {
            http: proxy(http),
            https: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            except: except.map_or_else(NoProxy::default, |(_, hosts)| {
                NoProxy::parse(&hosts.to_string_lossy())
            }),
        }
    }

    /// The proxy for a target, or `None` for a direct connection.
    ///
    /// # Errors
    /// `TransportErrorKind::Proxy` if the setting for this target is invalid; the text names the variable or option.
    pub fn route(&self, target: &Target) -> Result<Option<&Arc<Proxy>>, TransportError> {
        let setting = if target.tls() {
            &self.https
        } else {
            &self.http
        };
        let Some(setting) = setting else {
            return Ok(None);
        };
        let host = target.host();
        let is_direct = is_loopback(host) || is_link_local_service(host);
        if is_direct || self.except.matches(host, target.port()) {
            return Ok(None);
        }
        setting.as_ref().map(Some).map_err(|why| proxy_setting(why))
    }
}

impl Default for Proxies {
    fn default() -> Self {
        Proxies::from_env()
    }
}

/// The protocol between client and proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// HTTP: absolute URLs for `http://` targets, CONNECT for `https://` targets.
    Http,
    /// As `Http`, over TLS.
    Https,
    /// SOCKS 5 (RFC 1928); the client resolves the target's host name.
    Socks5,
    /// SOCKS 5; the proxy resolves the target's host name.
    Socks5h,
}

/// With their names in URLs and their usual ports.
const SCHEMES: [(Scheme, &str, u16); 4] = [
    (Scheme::Http, "http", 80),
    (Scheme::Https, "https", 443),
    (Scheme::Socks5, "socks5", 1080),
    (Scheme::Socks5h, "socks5h", 1080),
];

/// One proxy. `Display` shows its URL without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
    /// User and password, decoded.
    credentials: Option<(Zeroizing<String>, Zeroizing<String>)>,
}

impl Proxy {
    /// The protocol between client and proxy.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The proxy as a host to connect to. The port is 80, 443 or 1080 if the URL has none.
    #[must_use]
    pub fn peer(&self) -> Peer<'_> {
        Peer::new(&self.host, self.port, format!("the proxy {self}"))
    }

    /// True if the proxy takes requests to this target with absolute URIs, not through a tunnel: some HTTP proxies refuse tunnels to
    /// port 80.
    #[must_use]
    pub fn takes_absolute_uris(&self, target: &Target) -> bool {
        matches!(self.scheme, Scheme::Http | Scheme::Https) && !target.tls()
    }

    /// User and password.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        let (user, password) = self.credentials.as_ref()?;
        Some((user, password))
    }

    /// The value of `proxy-authorization`, if the proxy has credentials.
    #[must_use]
    pub fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.credentials()?;
        let both = Zeroizing::new([user, ":", password].concat());
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(&*both));
        let value = Zeroizing::new(["Basic ", &encoded].concat().into_bytes());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The error of a response that refuses the credentials for this proxy, to a request through it without a tunnel.
    ///
    /// Only a proxy sends status 407. Status 401 is the server's unless the response requests authentication with a
    /// proxy; nothing else distinguishes the two.
    #[must_use]
    pub fn refusal(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        target: &Target,
    ) -> Option<TransportError> {
        let is_refusal = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => true,
            StatusCode::UNAUTHORIZED => headers.contains_key(PROXY_AUTHENTICATE),
            _ => false,
        };
        is_refusal.then(|| proxy_refused(self, target, &wants_credentials(status.as_u16())))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = SCHEMES.iter().find(|(scheme, ..)| *scheme == self.scheme);
        let scheme = named.map_or("", |(_, name, _)| name);
        let place = address_text(&self.host, self.port);
        write!(f, "{scheme}://{place}")
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A proxy's URL. Without a scheme it is `http`; what follows host and port is ignored.
fn parse(url: &str, source: &str) -> Result<Arc<Proxy>, Arc<str>> {
    let refused = |why: &str| Arc::from(format!("{source} {why}"));
    let url = url.trim();
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let known = |(_, name, _): &&(Scheme, &str, u16)| name.eq_ignore_ascii_case(scheme);
    let &(scheme, _, usual_port) = SCHEMES
        .iter()
        .find(known)
        .ok_or_else(|| refused("has a scheme other than `http`, `https`, `socks5` or `socks5h`"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user_info, place) = match authority.rsplit_once('@') {
        Some((user_info, place)) => (Some(user_info), place),
        None => (None, authority),
    };
    let place = place.strip_suffix(':').unwrap_or(place);
    let place = place.parse::<Authority>();
    let place = place.map_err(|_| refused("has no valid host and port"))?;
    let host = place.host().trim_matches(['[', ']']);
    if host.is_empty() || (host != place.host() && host.parse::<Ipv6Addr>().is_err()) {
        return Err(refused("has a host that is not a valid name or address"));
    }
    let has_port = place.as_str().len() > place.host().len();
    let port = place.port_u16().or((!has_port).then_some(usual_port));
    let port = port.filter(|port| *port > 0);
    let port = port.ok_or_else(|| refused("has a port that is not a number from 1 to 65535"))?;
    let decode = |part: &str| {
        // Large enough from the start: a buffer that grows leaves copies that are not wiped.
        let mut decoded = Zeroizing::new(Vec::with_capacity(part.len()));
        decoded.extend(percent_decode_str(part));
        match std::str::from_utf8(&decoded) {
            Ok(decoded) => Ok(Zeroizing::new(decoded.to_owned())),
            Err(_) => Err(refused("has a user or password that is not UTF-8")),
        }
    };
    let credentials = match user_info {
        Some(user_info) => {
            let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
            Some((decode(user)?, decode(password)?))
        }
        None => None,
    };
    let is_long = credentials
        .as_ref()
        .is_some_and(|(user, password)| user.len() > 255 || password.len() > 255);
    if matches!(scheme, Scheme::Socks5 | Scheme::Socks5h) && is_long {
        return Err(refused(
            "has a user or password of more than 255 bytes, the most that SOCKS 5 can carry",
        ));
    }
    Ok(Arc::new(Proxy {
        scheme,
        host: host.into(),
        port,
        credentials,
    }))
}
