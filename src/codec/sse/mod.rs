//! Server-sent events, as in the [WHATWG specification][spec], without its reconnection.
//!
//! Every byte is looked at once and only the value of `data` and `event` lines is ever kept:
//! comments, unknown fields and their names cost no memory however long they are.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

mod bom;
mod decoder;
mod event;
mod line;
mod pending;
#[cfg(test)]
mod specification;
#[cfg(test)]
mod testing;

pub use self::{
    decoder::SseDecoder,
    event::{SseError, SseEvent},
};
