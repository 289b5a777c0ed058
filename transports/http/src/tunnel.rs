//! Requests a connection to the target from a proxy: CONNECT (RFC 9110, 9.3.6) and SOCKS 5 (RFC 1928, RFC 1929).

use crate::{
    error::{address_text, proxy_failed, proxy_refused, wants_credentials},
    proxy::Proxy,
};
use std::{fmt, mem, net::IpAddr, sync::Arc};
use unifiedai_transport::TransportError;
use zeroize::Zeroizing;

/// The handshake with a proxy, without I/O: write [`output`](Self::output), read, and pass the bytes to
/// [`input`](Self::input) until it returns true.
pub struct Handshake {
    proxy: Arc<Proxy>,
    host: Box<str>,
    port: u16,
    state: State,
    /// It may hold the password.
    output: Zeroizing<Vec<u8>>,
    input: Vec<u8>,
}

#[derive(Clone, Copy)]
enum State {
    Connect,
    SocksMethod,
    SocksPassword,
    SocksReply,
    Done,
}

/// The largest head of an answer to CONNECT.
const MAX_HEADER_BYTES: usize = 16 * 1024;

impl Handshake {
    /// Creates a handshake for a connection to a host, given as a name or an address. With
    /// [`Scheme::Socks5`](crate::proxy::Scheme::Socks5) the caller resolves the name and passes an address.
    #[must_use]
    pub fn new(proxy: Arc<Proxy>, host: &str, port: u16) -> Self {
        let mut handshake = Handshake {
            state: State::Done,
            host: host.trim_matches(['[', ']']).into(),
            port,
            output: Zeroizing::default(),
            input: Vec::new(),
            proxy,
        };
        handshake.begin();
        handshake
    }

    fn begin(&mut self) {
        if !self.proxy.scheme().is_http() {
            self.state = State::SocksMethod;
            self.output = match self.proxy.credentials() {
                Some(_) => vec![5, 2, 0, 2],
                None => vec![5, 1, 0],
            }
            .into();
            return;
        }
        self.state = State::Connect;
        let target = self.target();
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        let authorization = self.proxy.authorization();
        let [name, value, end] = match &authorization {
            Some(value) => [&b"Proxy-Authorization: "[..], value.as_bytes(), b"\r\n"],
            None => [&b""[..]; 3],
        };
        self.output = [request.as_bytes(), name, value, end, b"\r\n"]
            .concat()
            .into();
    }

    /// The bytes that must be written now, completely.
    #[must_use]
    pub fn output(&mut self) -> Zeroizing<Vec<u8>> {
        mem::take(&mut self.output)
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
        if let Some(used) = self.step()? {
            self.input.drain(..used);
        }
        let is_done = matches!(self.state, State::Done);
        if !self.input.is_empty() && (is_done || !self.output.is_empty()) {
            return Err(self.refused("it sent data that was not asked for"));
        }
        Ok(is_done)
    }

    /// How many bytes of the input a step took, or `None` if it needs more.
    fn step(&mut self) -> Result<Option<usize>, TransportError> {
        match (self.state, &*self.input) {
            (State::Connect, head) => {
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return self.check_unfinished().map(|()| None);
                };
                self.check_status()?;
                self.state = State::Done;
                Ok(Some(end.saturating_add(4)))
            }
            (State::SocksMethod, [5, method, ..]) => {
                match method {
                    0 => self.socks_request()?,
                    2 if self.proxy.credentials().is_some() => self.socks_password(),
                    _ => return Err(self.refused("it wants other credentials (SOCKS 5)")),
                }
                Ok(Some(2))
            }
            (State::SocksPassword, [1, status, ..]) => {
                if *status != 0 {
                    return Err(self.refused("user or password is wrong (SOCKS 5)"));
                }
                self.socks_request()?;
                Ok(Some(2))
            }
            (State::SocksReply, [5, 0, _, kind, rest @ ..]) => {
                let address = match (kind, rest) {
                    (1, _) => 4,
                    (4, _) => 16,
                    (3, [length, ..]) => usize::from(*length).saturating_add(1),
                    (3, []) => return Ok(None),
                    _ => return Err(self.refused("its answer is not SOCKS 5")),
                };
                let size = address.saturating_add(6);
                if self.input.len() < size {
                    return Ok(None);
                }
                self.state = State::Done;
                Ok(Some(size))
            }
            (State::SocksReply, [5, reply, ..]) if *reply != 0 => Err(self.socks_error(*reply)),
            (State::SocksMethod | State::SocksReply, [5, ..] | [])
            | (State::SocksPassword, [1, ..] | [])
            | (State::Done, _) => Ok(None),
            _ => Err(self.refused("its answer is not SOCKS 5")),
        }
    }

    /// Refuses what will not become a head.
    fn check_unfinished(&self) -> Result<(), TransportError> {
        let start = b"HTTP/1.";
        let length = self.input.len().min(start.len());
        if self.input.get(..length) != start.get(..length) {
            return Err(self.refused("its answer is not HTTP"));
        }
        if self.input.len() > MAX_HEADER_BYTES {
            return Err(self.refused("the head of its answer is larger than 16 KiB"));
        }
        Ok(())
    }

    fn check_status(&self) -> Result<(), TransportError> {
        let digits = match &*self.input {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', rest @ ..] => rest.get(..3),
            _ => None,
        };
        let status = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse::<u16>().ok());
        match status {
            Some(200..=299) => Ok(()),
            Some(status @ 500..) => Err(self.failed(&format!("it answered with status {status}"))),
            Some(407) => Err(self.refused(&wants_credentials(407))),
            Some(status) => Err(self.refused(&format!("it answered with status {status}"))),
            None => Err(self.refused("its answer is not HTTP")),
        }
    }

    fn socks_password(&mut self) {
        let (user, password) = self.proxy.credentials().unwrap_or_default();
        let length = |part: &str| [u8::try_from(part.len()).unwrap_or_default()];
        let (user_length, password_length) = (length(user), length(password));
        let message: [&[u8]; 5] = [
            &[1],
            &user_length,
            user.as_bytes(),
            &password_length,
            password.as_bytes(),
        ];
        self.output = message.concat().into();
        self.state = State::SocksPassword;
    }

    fn socks_request(&mut self) -> Result<(), TransportError> {
        let mut output = vec![5, 1, 0];
        match self.host.parse() {
            Ok(IpAddr::V4(v4)) => {
                output.push(1);
                output.extend_from_slice(&v4.octets());
            }
            Ok(IpAddr::V6(v6)) => {
                output.push(4);
                output.extend_from_slice(&v6.octets());
            }
            Err(_) => {
                let Ok(length) = u8::try_from(self.host.len()) else {
                    return Err(self.refused("the name is longer than SOCKS 5 can carry"));
                };
                output.extend_from_slice(&[3, length]);
                output.extend_from_slice(self.host.as_bytes());
            }
        }
        output.extend_from_slice(&self.port.to_be_bytes());
        self.output = output.into();
        self.state = State::SocksReply;
        Ok(())
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

    fn target(&self) -> String {
        address_text(&self.host, self.port)
    }

    fn refused(&self, why: &str) -> TransportError {
        proxy_refused(&self.proxy, &self.target(), why)
    }

    fn failed(&self, why: &str) -> TransportError {
        proxy_failed(&self.proxy, &self.target(), why)
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}
