//! A call's state of fetched credentials.

use crate::{
    Error, ErrorKind,
    credentials::{Claimed, Credentials, Fetch, Moment},
};
use bytes::Bytes;
use http::Request;
use std::time::Duration;
use unifiedai_transport::Time;

/// The token of the current attempt and its origin. Reset when the call moves to another target.
#[derive(Debug, Default)]
pub(super) struct CallCredentials {
    /// Boxed, because most calls have none.
    pub(super) claimed: Option<Box<Claimed>>,
    /// Whether a token was renewed because the provider refused it.
    is_renewed: bool,
    /// The number of checks for a token that another call fetches.
    looks: u32,
}

/// The state of a call that fetches a token.
pub(super) struct Fetching {
    pub(super) fetch: Fetch,
    pub(super) began: Time,
    /// The encoded request, if there is one.
    pub(super) encoded: Option<Request<Bytes>>,
}

/// Codes of a refused signature whose credentials have expired or are unknown; the status of some is 403.
const RENEWED_CODES: [&str; 5] = [
    "ExpiredTokenException",
    "ExpiredToken",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
];

const FIRST_LOOK: Duration = Duration::from_millis(5);
const MAX_LOOK: Duration = Duration::from_millis(40);

impl CallCredentials {
    pub(super) fn set(&mut self, claimed: Claimed) {
        self.claimed = Some(Box::new(claimed));
        self.looks = 0;
    }

    /// The time of the next check for a token that another call fetches.
    pub(super) fn look_again(&mut self, now: Time) -> Time {
        let pause = FIRST_LOOK.saturating_mul(1 << self.looks.min(3));
        self.looks = self.looks.saturating_add(1);
        now.saturating_add(pause.min(MAX_LOOK))
    }

    /// Whether the provider reports the token as expired or unknown and another one may be fetched. Once per target.
    pub(super) fn renew(
        &mut self,
        credentials: Option<&Credentials>,
        error: &Error,
        moment: Moment,
    ) -> bool {
        let (Some(credentials), Some(claimed)) = (credentials, &self.claimed) else {
            return false;
        };
        let is_refused = error.kind() == ErrorKind::Authentication
            || error
                .code()
                .is_some_and(|code| RENEWED_CODES.contains(&code));
        if self.is_renewed || !is_refused || !credentials.reject(claimed, moment) {
            return false;
        }
        self.is_renewed = true;
        true
    }
}
