use crate::{Error, Usage};
use serde::{Serialize, Serializer, ser::SerializeMap};
use unifiedai_transport::RequestDelivery;

/// The tokens of one attempt, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptUsage {
    /// The provider reported them in a complete response. Without [`Usage::raw`].
    Reported(Box<Usage>),
    /// The response ended early; these had been reported by then. The provider may bill more.
    Partial(Box<Usage>),
    /// The provider reported nothing. This does not mean that nothing is billed.
    #[default]
    Unknown,
}

impl AttemptUsage {
    /// The tokens that were reported.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        match self {
            AttemptUsage::Reported(usage) | AttemptUsage::Partial(usage) => Some(usage),
            AttemptUsage::Unknown => None,
        }
    }

    /// The name of the variant, as in JSON: `reported`, `partial` or `unknown`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            AttemptUsage::Reported(_) => "reported",
            AttemptUsage::Partial(_) => "partial",
            AttemptUsage::Unknown => "unknown",
        }
    }

    pub(crate) fn new(usage: Option<&Usage>, is_complete: bool) -> Self {
        let Some(usage) = usage else {
            return AttemptUsage::Unknown;
        };
        // The provider's own object is in the response, and can be long.
        let usage = Box::new(Usage {
            raw: None,
            ..usage.clone()
        });
        match is_complete {
            true => AttemptUsage::Reported(usage),
            false => AttemptUsage::Partial(usage),
        }
    }
}

impl Serialize for AttemptUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("known", self.as_str())?;
        if let Some(usage) = self.usage() {
            map.serialize_entry("usage", usage)?;
        }
        map.end()
    }
}

/// The tokens that a provider reported, and what determines their price.
#[derive(Clone, Copy, Debug)]
#[expect(unnameable_types, reason = "only a sealed trait returns it")]
pub struct BilledTokens<'a> {
    pub(crate) usage: &'a Usage,
    /// The model that the response names; may be empty.
    pub(crate) model: &'a str,
    /// The service tier that the response names; may be empty.
    pub(crate) service_tier: &'a str,
}

/// Whether the provider may bill an attempt that ended with this status and error. Providers bill what the model
/// processed: no request that was not sent, and none that was refused by its status. A gateway that reports a failure
/// does not know whether the model worked.
pub(crate) fn may_have_been_billed(status: Option<u16>, error: Option<&Error>) -> bool {
    let not_sent = error
        .and_then(Error::transport)
        .is_some_and(|failure| failure.delivery() == RequestDelivery::NotSent);
    match (error, status) {
        _ if not_sent => false,
        (None, _) | (_, None) => true,
        // Overloaded, unavailable, not implemented: refused before the work.
        (_, Some(501 | 503 | 529)) => false,
        // The request's own deadline, or that of a gateway, passed during the work.
        (_, Some(408 | 499)) => true,
        (_, Some(status)) => !(300..500).contains(&status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use unifiedai_transport::{TransportError, TransportErrorKind};

    #[test]
    fn only_what_was_certainly_refused_is_certainly_not_billed() {
        let error = Error::new(ErrorKind::Protocol, "x");
        for (status, billed) in [
            (200, true),
            (302, false),
            (400, false),
            (408, true),
            (429, false),
            (499, true),
            (500, true),
            (502, true),
            (503, false),
            (504, true),
            (529, false),
        ] {
            assert_eq!(
                may_have_been_billed(Some(status), Some(&error)),
                billed,
                "{status}"
            );
        }
        assert!(may_have_been_billed(Some(200), None));
        assert!(may_have_been_billed(None, Some(&error)));
        for (delivery, billed) in [
            (RequestDelivery::NotSent, false),
            (RequestDelivery::MaybeProcessed, true),
        ] {
            let failure = TransportError::new(TransportErrorKind::Reset, delivery, "x");
            let error = Error::new(ErrorKind::Connection, "x").with_transport(failure);
            assert_eq!(
                may_have_been_billed(None, Some(&error)),
                billed,
                "{delivery:?}"
            );
        }
    }
}
