//! OpenAI's responses in the background: created, read, streamed from any event, cancelled and deleted.
//!
//! Time passes with reading: the first reading of a response says that it is in progress, later ones have it complete. The usage of a
//! cancelled response is in its second reading.

use std::collections::HashMap;
use std::sync::PoisonError;

use serde_json::{Value, json};

use super::{Call, Content, Events, EventsMut, Protocol, Reply, responses::Responses};

/// The most responses that are kept. Others are refused.
const CAPACITY: usize = 4096;

/// The responses of a server by their ids.
#[derive(Default)]
pub(crate) struct Kept(HashMap<String, Response>);

struct Response {
    /// The complete object.
    complete: Value,
    events: Events,
    /// Whether it was created as a stream.
    streamed: bool,
    /// How often it was read.
    readings: usize,
    is_cancelled: bool,
    /// Whether its stream is no longer served.
    is_stale: bool,
}

/// Keeps a new response and returns what its creation answers: the queued object, or all events.
pub(super) fn create(
    call: &Call<'_>,
    complete: Value,
    events: EventsMut,
    streamed: bool,
) -> Result<Content, Box<Reply>> {
    let id = complete["id"].as_str().unwrap_or_default().to_owned();
    let events = events.freeze();
    let queued = with_status(&complete, "queued");
    let mut kept = lock(call);
    if kept.0.len() >= CAPACITY {
        return Err(Box::new(Responses.error(
            429,
            None,
            Some("Too many responses are kept."),
        )));
    }
    // A response of an `expired` model is removed before anything can read it.
    if !call.model.starts_with("expired") {
        let response = Response {
            complete,
            events: events.clone(),
            streamed,
            readings: 0,
            is_cancelled: false,
            is_stale: call.model.starts_with("stale"),
        };
        kept.0.insert(id, response);
    }
    Ok(match streamed {
        true => Content::Stream(events),
        false => Content::Whole(queued.to_string().into()),
    })
}

/// The response to a request for `/responses/{id}` or `/responses/{id}/cancel`.
pub(super) fn operate(call: &Call<'_>, rest: &str) -> Result<Content, Box<Reply>> {
    let (id, is_cancel) = match rest.strip_suffix("/cancel") {
        Some(id) => (id, true),
        None => (rest, false),
    };
    let not_found = || {
        let message = format!("Response with id '{id}' not found.");
        Box::new(Responses.error(404, None, Some(&message)))
    };
    let mut kept = lock(call);
    let response = kept.0.get_mut(id).ok_or_else(not_found)?;
    let whole = |body: Value| Ok(Content::Whole(body.to_string().into()));
    match (call.request.method.as_str(), is_cancel) {
        ("POST", true) => {
            // A complete response stays complete.
            if response.readings < 2 {
                (response.is_cancelled, response.readings) = (true, 0);
            }
            whole(response.read())
        }
        ("GET", false) => {
            let query = call
                .request
                .path
                .split_once('?')
                .map_or("", |(_, query)| query);
            let param = |name: &str| {
                query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            };
            if param("stream") != Some("true") {
                return whole(response.read());
            }
            let after = param("starting_after").map(str::parse::<usize>);
            match after {
                _ if !response.streamed => Err(refused(
                    "This response was not created with `stream`, so it cannot be streamed.",
                )),
                _ if response.is_stale => Err(refused(
                    "This response can no longer be streamed because it is more than 5 minutes old.",
                )),
                None => Ok(Content::Stream(response.events.clone())),
                Some(Ok(number)) => Ok(Content::Stream(response.after(number))),
                Some(Err(_)) => Err(refused("Invalid 'starting_after': expected an integer.")),
            }
        }
        ("DELETE", false) => {
            kept.0.remove(id);
            whole(json!({"id": id, "object": "response", "deleted": true}))
        }
        _ => Err(Box::new(Responses.error(405, None, None))),
    }
}

impl Response {
    fn read(&mut self) -> Value {
        self.readings += 1;
        match (self.is_cancelled, self.readings) {
            (true, 1) => with_status(&self.complete, "cancelled"),
            (true, _) => {
                let mut object = with_status(&self.complete, "cancelled");
                object["usage"] = self.complete["usage"].clone();
                object
            }
            (false, 1) => with_status(&self.complete, "in_progress"),
            (false, _) => self.complete.clone(),
        }
    }

    /// The events after the one with this number.
    fn after(&self, number: usize) -> Events {
        let mut events = EventsMut::default();
        let rest = self.events.iter().skip(number.saturating_add(1));
        rest.for_each(|event| events.push(event));
        events.freeze()
    }
}

fn refused(message: &str) -> Box<Reply> {
    Box::new(Responses.error(400, None, Some(message)))
}

/// The object of a response that is not complete.
fn with_status(complete: &Value, status: &str) -> Value {
    let mut object = complete.clone();
    object["status"] = status.into();
    object["output"] = json!([]);
    object["usage"] = Value::Null;
    object["incomplete_details"] = Value::Null;
    object
}

fn lock<'a>(call: &'a Call<'_>) -> std::sync::MutexGuard<'a, Kept> {
    let kept = call.state.kept.lock();
    kept.unwrap_or_else(PoisonError::into_inner)
}
