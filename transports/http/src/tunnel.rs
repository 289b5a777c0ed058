//! Requests a connection to the target from a proxy: CONNECT (RFC 9110, 9.3.6) and SOCKS 5 (RFC 1928, RFC 1929).

use crate::{
    error::{proxy_failed, proxy_refused, wants_credentials},
    proxy::{Proxy, Scheme},
    target::{Peer, address_text},
};
use std::{
    collections::VecDeque,
    fmt, mem,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use unifiedai_transport::TransportError;
use zeroize::Zeroizing;

/// The handshake with a proxy, without I/O: write [`output`](Self::output), read, and pass the bytes to
/// [`input`](Self::input) until it returns true.
pub struct Handshake {
    proxy: Arc<Proxy>,
    /// Host and port.
    target: String,
    steps: VecDeque<Step>,
    input: Vec<u8>,
}

/// A message to the proxy, which may hold the password, and what reads the reply.
struct Step(Zeroizing<Vec<u8>>, Reader);

/// How many bytes of the input the reply has, or `None` if it is not complete.
type Reader = fn(&mut Handshake) -> Result<Option<usize>, TransportError>;

/// The largest head of an answer to CONNECT.
const MAX_HEADER_BYTES: usize = 16 * 1024;

impl Handshake {
    /// Creates a handshake for a connection to a target. With [`Scheme::Socks5`] the caller resolves its name and passes an address.
    ///
    /// # Errors
    /// `TransportErrorKind::Proxy` if the target's name is longer than SOCKS 5 can carry.
    pub fn new(
        proxy: Arc<Proxy>,
        target: &Peer<'_>,
        address: Option<SocketAddr>,
    ) -> Result<Self, TransportError> {
        let mut handshake = Handshake {
            target: address_text(target.host, target.port),
            steps: VecDeque::new(),
            input: Vec::new(),
            proxy,
        };
        let steps = match handshake.proxy.scheme() {
            Scheme::Http | Scheme::Https => vec![handshake.connect()],
            Scheme::Socks5 | Scheme::Socks5h => handshake.socks(target, address)?,
        };
        handshake.steps = steps.into();
        Ok(handshake)
    }

    /// The bytes that must be written now, completely.
    #[must_use]
    pub fn output(&mut self) -> Zeroizing<Vec<u8>> {
        let step = self.steps.front_mut();
        step.map(|Step(message, _)| mem::take(message))
            .unwrap_or_default()
    }

    /// Takes the bytes that were read; none means that the proxy closed the connection. Returns true once the
    /// connection leads to the target.
    ///
    /// # Errors
    /// `TransportErrorKind::Proxy` if the proxy refuses or violates the protocol, `TransportErrorKind::Connect` if it
    /// could not reach the target.
    pub fn input(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        if bytes.is_empty() {
            return Err(self.failed("it closed the connection"));
        }
        self.input.extend_from_slice(bytes);
        let Some(&Step(_, read)) = self.steps.front() else {
            return Ok(true);
        };
        if let Some(used) = read(self)? {
            self.steps.pop_front();
            self.input.drain(..used);
            if !self.input.is_empty() {
                return Err(self.refused("it sent data that was not asked for"));
            }
        }
        Ok(self.steps.is_empty())
    }

    fn connect(&self) -> Step {
        let target = &self.target;
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        let authorization = self.proxy.authorization();
        let [name, value, end] = match &authorization {
            Some(value) => [&b"Proxy-Authorization: "[..], value.as_bytes(), b"\r\n"],
            None => [&b""[..]; 3],
        };
        let message = [request.as_bytes(), name, value, end, b"\r\n"].concat();
        Step(message.into(), Handshake::connect_reply)
    }

    fn connect_reply(&mut self) -> Result<Option<usize>, TransportError> {
        let is_http = b"HTTP/1.".iter().zip(&self.input).all(|(a, b)| a == b);
        if !is_http {
            return Err(self.refused("its answer is not HTTP"));
        }
        let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") else {
            return match self.input.len() > MAX_HEADER_BYTES {
                true => Err(self.refused("the head of its answer is larger than 16 KiB")),
                false => Ok(None),
            };
        };
        let digits = self.input.get(8..12).unwrap_or_default();
        let status = std::str::from_utf8(digits).ok();
        let status = status.and_then(|digits| digits.strip_prefix(' ')?.parse::<u16>().ok());
        match status {
            Some(200..=299) => Ok(Some(end.saturating_add(4))),
            Some(status @ 500..) => Err(self.failed(&format!("it answered with status {status}"))),
            Some(407) => Err(self.refused(&wants_credentials(407))),
            Some(status) => Err(self.refused(&format!("it answered with status {status}"))),
            None => Err(self.refused("its answer is not HTTP")),
        }
    }

    fn socks(
        &self,
        target: &Peer<'_>,
        address: Option<SocketAddr>,
    ) -> Result<Vec<Step>, TransportError> {
        let length = |text: &str| u8::try_from(text.len()).ok();
        let host = match address.map_or_else(|| target.host.parse(), |address| Ok(address.ip())) {
            Ok(IpAddr::V4(v4)) => [&[1][..], &v4.octets()].concat(),
            Ok(IpAddr::V6(v6)) => [&[4][..], &v6.octets()].concat(),
            Err(_) => {
                let length = length(target.host).ok_or_else(|| {
                    self.refused("the target's name is longer than SOCKS 5 can carry")
                })?;
                [&[3, length], target.host.as_bytes()].concat()
            }
        };
        let request = [&[5, 1, 0], &*host, &target.port.to_be_bytes()].concat();
        let request = Step(request.into(), Handshake::socks_reply);
        let Some((user, password)) = self.proxy.credentials() else {
            return Ok(vec![
                Step(vec![5, 1, 0].into(), Handshake::socks_method),
                request,
            ]);
        };
        // Longer ones were refused with the proxy's URL.
        let [user_length, password_length] =
            [user, password].map(|part| [length(part).unwrap_or_default()]);
        let (user, password) = (user.as_bytes(), password.as_bytes());
        let login = [&[1], &user_length[..], user, &password_length, password].concat();
        Ok(vec![
            Step(vec![5, 2, 0, 2].into(), Handshake::socks_method),
            Step(login.into(), Handshake::socks_login_reply),
            request,
        ])
    }

    fn socks_method(&mut self) -> Result<Option<usize>, TransportError> {
        match &*self.input {
            [5, 0, ..] => {
                // Without the login, which lies between this step and the request.
                while self.steps.len() > 2 {
                    self.steps.remove(1);
                }
                Ok(Some(2))
            }
            [5, 2, ..] if self.proxy.credentials().is_some() => Ok(Some(2)),
            [5] => Ok(None),
            [5, ..] => Err(self.refused("it wants other credentials (SOCKS 5)")),
            _ => Err(self.refused("its answer is not SOCKS 5")),
        }
    }

    fn socks_login_reply(&mut self) -> Result<Option<usize>, TransportError> {
        match &*self.input {
            [1, 0, ..] => Ok(Some(2)),
            [1] => Ok(None),
            [1, ..] => Err(self.refused("user or password is wrong (SOCKS 5)")),
            _ => Err(self.refused("its answer is not SOCKS 5")),
        }
    }

    fn socks_reply(&mut self) -> Result<Option<usize>, TransportError> {
        let address = match &*self.input {
            [5, reply, ..] if *reply != 0 => return Err(self.socks_error(*reply)),
            [5, 0, _, 1, ..] => 4,
            [5, 0, _, 4, ..] => 16,
            [5, 0, _, 3, length, ..] => usize::from(*length).saturating_add(1),
            [5] | [5, 0] | [5, 0, _] | [5, 0, _, 3] => return Ok(None),
            _ => return Err(self.refused("its answer is not SOCKS 5")),
        };
        let size = address.saturating_add(6);
        Ok((self.input.len() >= size).then_some(size))
    }

    fn socks_error(&self, reply: u8) -> TransportError {
        let why = match reply {
            2 => return self.refused("its rules forbid the connection (SOCKS 5 reply 2)"),
            7 => return self.refused("it does not support CONNECT (SOCKS 5 reply 7)"),
            8 => return self.refused("it does not support the kind of address (SOCKS 5 reply 8)"),
            3 => "network unreachable",
            4 => "host unreachable",
            5 => "connection refused",
            6 => "time to live expired",
            _ => "general failure",
        };
        self.failed(&format!("{why} (SOCKS 5 reply {reply})"))
    }

    fn refused(&self, why: &str) -> TransportError {
        proxy_refused(&self.proxy, &self.target, why)
    }

    fn failed(&self, why: &str) -> TransportError {
        proxy_failed(&self.proxy, &self.target, why)
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}
