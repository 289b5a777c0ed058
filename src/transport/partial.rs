//! Streamed JSON as the value so far.

use super::{blocking::ChatStream, nonblocking::AsyncChatStream};
use crate::{
    Error, ErrorKind, StreamEvent, UnifiedChatResponse,
    json::{Json, PartialJson, PartialJsonError},
};
use serde::de::DeserializeOwned;
use std::{fmt, marker::PhantomData};
use unifiedai_transport::{AsyncTransport, Transport};

/// A stream whose text is JSON, as the value so far. `V` is the type of the value, `S` the stream.
///
/// Each delta is read once and the value is built in place ([`PartialJson`]), so that a long answer costs as much as its length.
/// The text is that of the first choice.
///
/// ```
/// use unifiedai::{ChatRequest, Client, provider::OpenAiChat, transport::testing::{MockResponse, MockTransport}};
///
/// #[derive(serde::Deserialize)]
/// struct City { name: String, #[serde(default)] people: u64 }
///
/// # let delta = |text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":{text:?}}}}}]}}"#);
/// # let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
/// # let (one, two) = (delta(r#"{"name": "Li"#), delta(r#"ma", "people": 10}"#));
/// # let transport = MockTransport::new([MockResponse::events([&*one, &*two, end, "[DONE]"])]);
/// let client = Client::new(transport, OpenAiChat::cerebras("key")?);
/// let mut stream = client.stream(ChatRequest::new("m").user("The largest city of Peru?"))?.partial::<City>();
/// while let Some(so_far) = stream.next_value() {
///     let so_far = so_far?;
///     println!("{:?}", so_far.text_at("/name")); // "Li", then "Lima"
///     if let Some(city) = so_far.get() {
///         println!("{}: {}", city.name, city.people);
///     }
/// }
/// assert_eq!(stream.finish()?.name, "Lima");
/// # Ok::<(), unifiedai::Error>(())
/// ```
pub struct PartialStream<V, S> {
    stream: S,
    json: PartialJson,
    types: PhantomData<fn() -> V>,
}

/// The value so far of a [`PartialStream`].
pub struct PartialValue<'s, V> {
    json: &'s PartialJson,
    types: PhantomData<fn() -> V>,
}

impl<V: DeserializeOwned> PartialValue<'_, V> {
    /// The text so far at a JSON pointer, such as `/cities/0/name`. Nothing is copied.
    #[must_use]
    pub fn text_at(&self, pointer: &str) -> Option<&str> {
        self.json.text_at(pointer)
    }

    /// The value so far as JSON. This copies the value.
    #[must_use]
    pub fn to_json(&self) -> Option<Json> {
        self.json.to_json()
    }

    /// The value so far as a `V`; `None` while members are missing that `V` requires (`#[serde(default)]` makes them optional).
    /// This copies the value, so call it as often as the value is shown and not for each delta of a long one.
    #[must_use]
    pub fn get(&self) -> Option<V> {
        self.json.get()
    }
}

impl<V, S> PartialStream<V, S> {
    fn new(stream: S) -> Self {
        PartialStream {
            stream,
            json: PartialJson::new(),
            types: PhantomData,
        }
    }

    /// Whether the event added to the text of the first choice.
    fn read(&mut self, event: &StreamEvent) -> Result<bool, Error> {
        let StreamEvent::TextDelta {
            choice: 0, text, ..
        } = event
        else {
            return Ok(false);
        };
        self.json.push(text).map_err(not_json)?;
        Ok(self.json.value().is_some())
    }

    fn shown(&self) -> Option<PartialValue<'_, V>> {
        self.json.value().map(|_| PartialValue {
            json: &self.json,
            types: PhantomData,
        })
    }
}

fn not_json(error: PartialJsonError) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("the response's text cannot be read while it arrives: {error}"),
    )
}

impl<V: DeserializeOwned, T: Transport> PartialStream<V, ChatStream<T>> {
    /// The value after the next delta of the text; `None` at the end of the stream.
    ///
    /// # Errors
    /// The error that ended the stream; `protocol` if the text is not JSON.
    pub fn next_value(&mut self) -> Option<Result<PartialValue<'_, V>, Error>> {
        loop {
            let read = self.stream.next()?.and_then(|event| self.read(&event));
            match read {
                Ok(false) => {}
                Ok(true) => return self.shown().map(Ok),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads the rest and returns the complete value.
    ///
    /// # Errors
    /// The error that ended the stream, or an error of [`UnifiedChatResponse::parse`].
    pub fn finish(self) -> Result<V, Error> {
        self.into_response()?.parse()
    }

    /// Reads the rest and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the stream, with the partial response.
    pub fn into_response(self) -> Result<UnifiedChatResponse, Error> {
        self.stream.into_response()
    }
}

impl<V: DeserializeOwned, T: AsyncTransport + Unpin> PartialStream<V, AsyncChatStream<T>> {
    /// The value after the next delta of the text; `None` at the end of the stream. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The error that ended the stream; `protocol` if the text is not JSON.
    pub async fn next_value(&mut self) -> Option<Result<PartialValue<'_, V>, Error>> {
        loop {
            let read = self
                .stream
                .next()
                .await?
                .and_then(|event| self.read(&event));
            match read {
                Ok(false) => {}
                Ok(true) => return self.shown().map(Ok),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads the rest and returns the complete value.
    ///
    /// # Errors
    /// The error that ended the stream, or an error of [`UnifiedChatResponse::parse`].
    pub async fn finish(self) -> Result<V, Error> {
        self.into_response().await?.parse()
    }

    /// Reads the rest and returns the complete response.
    ///
    /// # Errors
    /// The error that ended the stream, with the partial response.
    pub async fn into_response(self) -> Result<UnifiedChatResponse, Error> {
        self.stream.into_response().await
    }
}

impl<T: Transport> ChatStream<T> {
    /// Reads the text, which is JSON, as the value so far: for structured output that is shown while it arrives.
    #[must_use]
    pub fn partial<V: DeserializeOwned>(self) -> PartialStream<V, Self> {
        PartialStream::new(self)
    }
}

impl<T: AsyncTransport> AsyncChatStream<T> {
    /// Reads the text, which is JSON, as the value so far: for structured output that is shown while it arrives.
    #[must_use]
    pub fn partial<V: DeserializeOwned>(self) -> PartialStream<V, Self> {
        PartialStream::new(self)
    }
}

impl<V, S> fmt::Debug for PartialStream<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialStream").finish_non_exhaustive()
    }
}

impl<V> fmt::Debug for PartialValue<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartialValue").field(self.json).finish()
    }
}
