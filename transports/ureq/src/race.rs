//! Waits for other threads within the limits of a call.

use crate::timeout;
use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};
use unifiedai_http::target::{ATTEMPT_DELAY, interleaved};

/// How often a waiting call is asked whether it was cancelled.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// One TCP connection to whichever of a host's addresses answers first ("happy eyeballs", RFC 8305). An attempt begins when the one
/// before has failed or taken a quarter of a second.
#[expect(
    clippy::disallowed_methods,
    reason = "a blocking transport races addresses on threads"
)]
pub(crate) fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let (answer, answers) = mpsc::channel();
    let mut waiting = interleaved(addresses).into_iter();
    let mut failures = Vec::new();
    while failures.len() < addresses.len() {
        if let Some(address) = waiting.next() {
            let (answer, left) = (answer.clone(), timeout::wait()?);
            let attempt = move || drop(answer.send(attempt(address, left)));
            thread::Builder::new().spawn(attempt)?;
        }
        match receive(&answers, ATTEMPT_DELAY)? {
            Some(Ok(connected)) => return Ok(connected),
            Some(Err(failure)) => failures.push(failure),
            None => {}
        }
    }
    let first = failures.into_iter().next();
    Err(first.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "sockets are the transport's part"
)]
fn attempt(address: SocketAddr, left: Option<Duration>) -> io::Result<TcpStream> {
    match left {
        Some(left) => TcpStream::connect_timeout(&address, left),
        None => TcpStream::connect(address),
    }
}

/// Does on another thread what cannot be given a limit.
#[expect(
    clippy::disallowed_methods,
    reason = "a blocking transport races addresses on threads"
)]
pub(crate) fn in_time<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (answer, answers) = mpsc::channel();
    thread::Builder::new().spawn(move || drop(answer.send(work())))?;
    receive(&answers, Duration::MAX)?.unwrap_or_else(|| Err(ErrorKind::BrokenPipe.into()))
}

/// The next message of another thread, or `None` after so much patience or if it has ended.
///
/// # Errors
/// Those of [`timeout::wait`].
pub(crate) fn receive<T>(
    messages: &mpsc::Receiver<T>,
    mut patience: Duration,
) -> io::Result<Option<T>> {
    while !patience.is_zero() {
        let left = timeout::wait()?.unwrap_or(CHECK_INTERVAL);
        let wait = left.min(CHECK_INTERVAL).min(patience);
        match messages.recv_timeout(wait) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => patience = patience.saturating_sub(wait),
        }
    }
    Ok(None)
}
