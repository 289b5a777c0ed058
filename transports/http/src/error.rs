//! Errors that every transport words alike.

use unifiedai_transport::{Delivery::NotSent, FailureKind::Request, TransportError};

/// The request cannot be sent as it is. `why` names what is wrong, without header values.
#[must_use]
pub fn unsendable(why: &str) -> TransportError {
    let message = format!("the request cannot be sent: {why}");
    TransportError::new(Request, NotSent, message)
}
