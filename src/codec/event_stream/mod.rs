//! The binary frames of `application/vnd.amazon.eventstream`, according to the [Amazon event stream
//! specification][spec].
//!
//! ```text
//! | total length u32 | headers length u32 | CRC of these 8 bytes u32 | headers | payload | CRC of everything before u32 |
//! ```
//!
//! [spec]: https://smithy.io/2.0/aws/amazon-eventstream.html

mod decoder;
mod encode;
mod error;
mod header;
mod message;
mod prelude;
#[cfg(test)]
mod testing;

pub use self::{
    decoder::EventStreamDecoder, encode::encode_message, error::EventStreamError,
    header::HeaderValue, message::Message,
};
