//! One TCP connection to whichever of a host's addresses answers first ("happy eyeballs", RFC 8305).

use crate::{cancel, deadline};
use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};
use unifiedai_http::addresses::{ATTEMPT_DELAY, interleaved};

/// How often a call that can be cancelled is asked whether it was.
const CANCEL_LOOK: Duration = Duration::from_millis(50);

/// Connects within the limit for connecting. An attempt begins when the one before has failed or taken a quarter of a second.
pub(crate) fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let ([only], None) = (addresses, cancel::current()) {
        return attempt(*only, deadline::left());
    }
    let (answer, answers) = mpsc::channel();
    let mut waiting = interleaved(addresses).into_iter();
    let mut running = 0_usize;
    let mut failure = None;
    loop {
        match waiting.next() {
            Some(address) => {
                let (answer, left) = (answer.clone(), deadline::left());
                let attempt = move || drop(answer.send(attempt(address, left)));
                thread::Builder::new().spawn(attempt)?;
                running = running.saturating_add(1);
            }
            None if running == 0 => {
                return Err(failure.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()));
            }
            None => {}
        }
        let patience = (waiting.len() > 0).then_some(ATTEMPT_DELAY);
        match receive(&answers, patience)? {
            Some(Ok(connected)) => return Ok(connected),
            Some(Err(error)) => {
                running = running.saturating_sub(1);
                failure.get_or_insert(error);
            }
            None => {}
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "sockets are the transport's part"
)]
fn attempt(address: SocketAddr, left: Option<Duration>) -> io::Result<TcpStream> {
    match left {
        Some(Duration::ZERO) => Err(ErrorKind::TimedOut.into()),
        Some(left) => TcpStream::connect_timeout(&address, left),
        None => TcpStream::connect(address),
    }
}

/// Does on another thread what cannot be given a limit.
pub(crate) fn in_time<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if deadline::left().is_none() && cancel::current().is_none() {
        return work();
    }
    let (answer, answers) = mpsc::channel();
    thread::Builder::new().spawn(move || drop(answer.send(work())))?;
    receive(&answers, None)?.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
}

/// The next answer, or `None` after so much patience.
///
/// # Errors
/// `TimedOut` once the limit for connecting has passed or the call was cancelled.
pub(crate) fn receive<T>(
    answers: &mpsc::Receiver<T>,
    patience: Option<Duration>,
) -> io::Result<Option<T>> {
    let mut patience = patience;
    loop {
        let cancelled = cancel::current();
        let left = deadline::left();
        if left == Some(Duration::ZERO) || cancelled == Some(true) {
            return Err(ErrorKind::TimedOut.into());
        }
        let look = cancelled.map(|_| CANCEL_LOOK);
        let wait = [patience, left, look].into_iter().flatten().min();
        let received = match wait {
            Some(wait) => answers.recv_timeout(wait),
            None => answers.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match (received, &mut patience) {
            (Ok(answer), _) => return Ok(Some(answer)),
            (Err(RecvTimeoutError::Disconnected), _) => return Ok(None),
            (Err(RecvTimeoutError::Timeout), Some(patience)) => {
                *patience = patience.saturating_sub(wait.unwrap_or_default());
                if patience.is_zero() {
                    return Ok(None);
                }
            }
            (Err(RecvTimeoutError::Timeout), None) => {}
        }
    }
}
