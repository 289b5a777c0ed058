//! The requests of a source. Each is passed to the driver of the call that fetches.

use super::{
    FileAccess, Supply, Token, address,
    cache::{Lease, Timing},
    errors::{Failure, config, unreachable},
    fetch::Moment,
};
use crate::{Error, policy::Rng, policy::retry_after};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use std::{
    fmt,
    future::poll_fn,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, SystemTime},
};
use unifiedai_transport::{RequestDelivery, Time, TransportError, TransportErrorKind};
use zeroize::Zeroizing;

/// Maximum file size; no source has larger files.
const MAX_FILE_BYTES: usize = 64 * 1024;
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A longer wait that a server requests is not waited for.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The I/O of a source of [`Credentials`](super::Credentials): it sends requests over the transport of the call that
/// fetches, and has its driver read files and run processes, one operation at a time.
#[derive(Clone)]
pub struct Fetcher(Arc<Mutex<Mailbox>>);

/// The state that a source and the machine share.
pub(super) struct Mailbox {
    pub(super) ask: Option<Ask>,
    pub(super) answer: Option<Answer>,
    is_busy: bool,
    pub(super) moment: Moment,
    pub(super) rng: Rng,
    pub(super) timing: Timing,
    /// Texts that no error may show.
    pub(super) hidden: Vec<Zeroizing<String>>,
}

pub(super) enum Ask {
    Send {
        request: Request<Bytes>,
        connect: Duration,
        limit: Duration,
    },
    Supply(Supply, Duration),
    Sleep(Duration),
}

pub(super) enum Answer {
    Response(Response<Bytes>),
    Failed(TransportError),
    Supplied(io::Result<Bytes>),
    Slept,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    pub(crate) connect: Duration,
    pub(crate) limit: Duration,
    pub(crate) tries: u32,
    /// Whether an unusual response is worth another try.
    pub(crate) is_transient: fn(&Response<Bytes>) -> bool,
    /// Whether a timeout while connecting is worth another try.
    pub(crate) retries_timeouts: bool,
}

impl Default for Sending {
    fn default() -> Self {
        Sending {
            connect: CONNECT_LIMIT,
            limit: REQUEST_LIMIT,
            tries: TRIES,
            is_transient: |_| false,
            retries_timeouts: true,
        }
    }
}

impl Fetcher {
    pub(super) fn new(moment: Moment, seed: u64) -> Self {
        Fetcher(Arc::new(Mutex::new(Mailbox {
            ask: None,
            answer: None,
            is_busy: false,
            moment,
            rng: Rng::new(seed),
            timing: Timing {
                sent: moment.now,
                skew: 0,
            },
            hidden: Vec::new(),
        })))
    }

    /// Sends a request and reads the complete response, whatever its status. It is tried up to three times if the
    /// server cannot be reached or responds with 408, 425, 429 or 500 and above; each try has 10 seconds. A redirect
    /// is an error, and so is plain `http` to any host except this machine and the metadata services of clouds.
    ///
    /// # Errors
    /// Of kind [`Credentials`](crate::ErrorKind::Credentials).
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        self.send_with(request, Sending::default()).await
    }

    pub(crate) async fn send_with(
        &self,
        request: Request<Bytes>,
        sending: Sending,
    ) -> Result<Response<Bytes>, Error> {
        address::check(request.uri())?;
        self.hide_headers(&request);
        let host = request.uri().host().unwrap_or_default().to_owned();
        let mut pause = FIRST_PAUSE;
        let mut tries: u32 = 1;
        loop {
            let ask = Ask::Send {
                request: request.clone(),
                connect: sending.connect,
                limit: sending.limit,
            };
            let (error, wait) = match self.ask(ask).await? {
                Answer::Response(response) => {
                    if response.status().is_redirection() {
                        return Err(config(format!(
                            "{host} answered with a redirect (status {}), which is not followed",
                            response.status().as_u16()
                        )));
                    }
                    let wait = retry_after(response.headers(), self.wall_clock());
                    let is_transient =
                        is_transient(response.status()) || (sending.is_transient)(&response);
                    let is_last =
                        tries >= sending.tries || wait.is_some_and(|wait| wait > MAX_PAUSE);
                    if !is_transient || is_last {
                        return Ok(response);
                    }
                    (None, wait)
                }
                Answer::Failed(failure) => {
                    let is_final = matches!(
                        failure.kind(),
                        TransportErrorKind::Cancelled
                            | TransportErrorKind::Tls
                            | TransportErrorKind::Proxy
                            | TransportErrorKind::Request
                    ) || (matches!(failure.kind(), TransportErrorKind::Timeout(_))
                        && !sending.retries_timeouts);
                    let error = unreachable(format!("{host} could not be asked: {failure}"))
                        .with_retryable(!is_final);
                    if is_final {
                        return Err(error);
                    }
                    (Some(error), None)
                }
                _ => return Err(out_of_step()),
            };
            if tries >= sending.tries {
                return Err(error.unwrap_or_else(out_of_step));
            }
            tries = tries.saturating_add(1);
            let jitter = 0.5 + self.random();
            self.sleep(wait.unwrap_or(pause.mul_f64(jitter))).await?;
            pause = pause.saturating_mul(2);
        }
    }

    /// Reads a file of at most 64 KiB.
    ///
    /// # Errors
    /// Of kind [`Credentials`](crate::ErrorKind::Credentials), with the code `credentials_missing` if it does not exist.
    pub async fn read_file(&self, path: impl AsRef<Path>) -> Result<Bytes, Error> {
        let path = path.as_ref();
        match self.try_read_file(path).await? {
            Some(content) => Ok(content),
            None => Err(super::errors::missing(format!(
                "the file {} does not exist",
                path.display()
            ))),
        }
    }

    /// Reads a file; `None` if it does not exist.
    pub(crate) async fn try_read_file(&self, path: &Path) -> Result<Option<Bytes>, Error> {
        self.try_read_guarded(path, FileAccess::Any).await
    }

    /// Reads a file to which other users have at most this access; `None` if it does not exist.
    pub(crate) async fn try_read_guarded(
        &self,
        path: &Path,
        access: FileAccess,
    ) -> Result<Option<Bytes>, Error> {
        let supply = Supply::ReadFile {
            path: path.to_owned(),
            max_bytes: MAX_FILE_BYTES,
            access,
        };
        match self.supply(supply, REQUEST_LIMIT).await? {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Err(config(format!(
                "the file {} is needed, and the driver of this call reads no files",
                path.display()
            ))),
            Err(error) => Err(config(format!(
                "the file {} cannot be read: {error}",
                path.display()
            ))),
        }
    }

    /// A token from a file, without the white space around it. Files are read anew at each fetch, as they are replaced
    /// before their token expires.
    pub(crate) async fn read_token(&self, path: &Path) -> Result<Zeroizing<String>, Error> {
        let content = self.read_file(path).await?;
        let wrong = |what: &str| config(format!("the file {} {what}", path.display()));
        let text = std::str::from_utf8(&content).map_err(|_| wrong("is not text"))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(wrong("is empty"));
        }
        if text.len() > MAX_TOKEN_BYTES {
            return Err(wrong("is too long for a token"));
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(wrong("has white space or control characters inside"));
        }
        self.hide(text);
        Ok(Zeroizing::new(text.to_owned()))
    }

    pub(crate) async fn supply(
        &self,
        supply: Supply,
        limit: Duration,
    ) -> Result<io::Result<Bytes>, Error> {
        match self.ask(Ask::Supply(supply, limit)).await? {
            Answer::Supplied(supplied) => Ok(supplied),
            _ => Err(out_of_step()),
        }
    }

    /// Waits for this time.
    ///
    /// # Errors
    /// If the source has another operation running.
    pub async fn sleep(&self, time: Duration) -> Result<(), Error> {
        self.ask(Ask::Sleep(time)).await.map(|_| ())
    }

    /// Returns the transport's wall clock.
    #[must_use]
    pub fn wall_clock(&self) -> SystemTime {
        self.mailbox().moment.wall
    }

    /// Returns the transport's monotonic clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.mailbox().moment.now
    }

    /// Removes this text from any error of the source. Header values that are marked as sensitive are removed
    /// automatically.
    pub fn hide(&self, secret: &str) {
        let mut mailbox = self.mailbox();
        if !mailbox
            .hidden
            .iter()
            .any(|hidden| hidden.as_str() == secret)
        {
            mailbox.hidden.push(Zeroizing::new(secret.to_owned()));
        }
    }

    /// Passes the result of a source to all calls that share it. Returns the code of an error.
    pub(super) fn publish(&self, lease: &Lease, result: Result<Token, Error>) -> Option<String> {
        let mut mailbox = self.mailbox();
        let (moment, timing) = (mailbox.moment, mailbox.timing);
        let unit = mailbox.rng.unit();
        let published = result.and_then(|token| lease.publish(token, timing, moment, unit));
        let error = published.err()?;
        let failure = Failure::new(lease.credentials().name(), &error, &mailbox.hidden);
        let code = failure.code.clone();
        lease.fail(failure, moment);
        Some(code)
    }

    pub(super) fn moment(&self) -> Moment {
        self.mailbox().moment
    }

    fn hide_headers(&self, request: &Request<Bytes>) {
        for value in request
            .headers()
            .values()
            .filter(|value| value.is_sensitive())
        {
            if let Ok(value) = value.to_str() {
                self.hide(value.strip_prefix("Bearer ").unwrap_or(value));
            }
        }
    }

    /// A number from 0 to 1.
    fn random(&self) -> f64 {
        self.mailbox().rng.unit()
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, Error> {
        let mut ask = Some(ask);
        poll_fn(move |_| {
            let mut mailbox = self.mailbox();
            if let Some(ask) = ask.take() {
                if std::mem::replace(&mut mailbox.is_busy, true) {
                    return Poll::Ready(Err(config("a source may do one thing at a time")));
                }
                mailbox.ask = Some(ask);
                return Poll::Pending;
            }
            match mailbox.answer.take() {
                Some(answer) => {
                    mailbox.is_busy = false;
                    Poll::Ready(Ok(answer))
                }
                None => Poll::Pending,
            }
        })
        .await
    }

    pub(super) fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Anthropic's limit for an assertion is 16 KiB, that of AWS 20,000 characters.
const MAX_TOKEN_BYTES: usize = 20_000;

fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..)
}

fn out_of_step() -> Error {
    unreachable("the answer was none to what was asked")
}

pub(super) fn too_slow(what: &str) -> TransportError {
    TransportError::new(
        TransportErrorKind::Timeout(unifiedai_transport::Phase::Headers),
        RequestDelivery::MaybeProcessed,
        what,
    )
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher")
    }
}
