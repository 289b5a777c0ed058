//! Where a request marks what the provider shall cache.

#[cfg(feature = "bedrock")]
use super::blocks::is_object_with;
use super::blocks::{self, elements, list};
use crate::{Error, ErrorKind, Json, provider::kit::json_object::JsonObject};

/// Which parts of a request the provider caches, as far as the caller decides that: Anthropic and Bedrock cache up to marks in
/// the request, OpenAI finds its cache by a key. A plan changes nothing that the model reads. Providers that cache by themselves
/// ignore it.
///
/// ```
/// use unifiedai::{ChatRequest, cache::{CacheLife, CachePlan}};
///
/// let auto = ChatRequest::new("m").system("..").user("..").cache_plan(CachePlan::auto());
/// // By hand: tools and system messages for an hour, the latest turn of the user for five minutes.
/// let plan = CachePlan::none().tools(CacheLife::Hour).system(CacheLife::Hour).history(1, CacheLife::FiveMinutes);
/// let by_hand = auto.cache_plan(plan);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CachePlan {
    tools: Option<CacheLife>,
    /// Set by `auto`: left out where a mark behind the tools is refused by some models.
    tools_are_optional: bool,
    system: Option<CacheLife>,
    history: Option<CacheLife>,
    turns: u8,
    key: CacheKey,
}

/// How long a provider keeps a marked part after its last use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheLife {
    /// The provider's default; five minutes at Anthropic and Bedrock.
    #[default]
    Default,
    /// Five minutes.
    FiveMinutes,
    /// An hour, which costs more. Parts for an hour come before those for five minutes.
    Hour,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum CacheKey {
    #[default]
    None,
    /// Of the model, the tools and the leading system messages.
    OfPrefix,
    Given(String),
}

/// How an API is told what to cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheMarks {
    /// `cache_control` in a block.
    CacheControl,
    /// A `cachePoint` after a block.
    #[cfg(feature = "bedrock")]
    CachePoint,
    /// `prompt_cache_key`; the server finds the parts by itself.
    Key,
}

/// Anthropic and Bedrock accept as many.
const MAX_MARKS: usize = 4;

impl CachePlan {
    /// Marks the end of the tools, the end of the system messages and the two latest turns of the user, with the provider's
    /// default life, and sets OpenAI's key. On Bedrock the tools have no mark of their own, because some models refuse it
    /// there; the next mark contains them.
    #[must_use]
    pub fn auto() -> Self {
        CachePlan {
            tools: Some(CacheLife::Default),
            tools_are_optional: true,
            system: Some(CacheLife::Default),
            history: Some(CacheLife::Default),
            turns: 2,
            key: CacheKey::OfPrefix,
        }
    }

    /// Marks nothing.
    #[must_use]
    pub fn none() -> Self {
        CachePlan::default()
    }

    /// Marks the end of the tools.
    #[must_use]
    pub fn tools(mut self, life: CacheLife) -> Self {
        self.tools = Some(life);
        self.tools_are_optional = false;
        self
    }

    /// Marks the end of the system messages.
    #[must_use]
    pub fn system(mut self, life: CacheLife) -> Self {
        self.system = Some(life);
        self
    }

    /// Marks the ends of this many latest turns of the user.
    #[must_use]
    pub fn history(mut self, turns: u8, life: CacheLife) -> Self {
        self.history = Some(life);
        self.turns = turns;
        self
    }

    /// Sets OpenAI's `prompt_cache_key` to a hash of the model, the tools and the leading system messages. A key of the
    /// request has precedence.
    #[must_use]
    pub fn key_of_prefix(mut self) -> Self {
        self.key = CacheKey::OfPrefix;
        self
    }

    /// Sets OpenAI's `prompt_cache_key`, of at most 64 characters. A key of the request has precedence.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = CacheKey::Given(key.into());
        self
    }

    /// Adds the marks to an encoded body. Those that the caller put there count against the limit.
    pub(crate) fn apply(&self, marks: CacheMarks, body: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.check_order()?;
        let text = std::str::from_utf8(&body).unwrap_or_default();
        let Some(mut object) = JsonObject::read(text) else {
            return Ok(body);
        };
        match marks {
            CacheMarks::CacheControl => {
                let room = MAX_MARKS.saturating_sub(blocks::count_marks(&object));
                self.mark(&mut object, &CONTROL, room)?;
            }
            #[cfg(feature = "bedrock")]
            CacheMarks::CachePoint => {
                let room = MAX_MARKS.saturating_sub(blocks::count_marks(&object));
                self.mark(&mut object, &POINT, room)?;
            }
            CacheMarks::Key => {
                if object.get(KEY).is_none() {
                    if let Some(key) = self.key_for(&object) {
                        object.set(KEY, Json::new(&key)?);
                    }
                }
            }
        }
        Ok(object.to_json()?.as_str().as_bytes().to_vec())
    }

    /// The server refuses a mark for an hour behind one for five minutes.
    fn check_order(&self) -> Result<(), Error> {
        let lives = [
            ("tools", self.tools),
            ("system", self.system),
            ("history", self.history),
        ];
        let mut shorter = None;
        for (name, life) in lives {
            match (life, shorter) {
                (Some(CacheLife::Hour), Some(before)) => {
                    return Err(Error::new(
                        ErrorKind::InvalidRequest,
                        format!(
                            "the cache plan keeps `{name}` for an hour and `{before}`, which comes before it, for less: give `{before}` the longer life"
                        ),
                    ));
                }
                (Some(CacheLife::Default | CacheLife::FiveMinutes), _) => shorter = Some(name),
                _ => {}
            }
        }
        Ok(())
    }

    fn mark(&self, body: &mut JsonObject, form: &Form, mut room: usize) -> Result<(), Error> {
        let tools = self
            .tools
            .filter(|_| !(self.tools_are_optional && form.omits_optional_tools));
        if let Some(life) = tools.filter(|_| room > 0) {
            room = room.saturating_sub(mark_tools(body, form, life)?);
        }
        if let Some(life) = self.system.filter(|_| room > 0) {
            let marked = body
                .get("system")
                .and_then(|system| (form.mark)(system, life));
            if let Some(marked) = marked {
                body.set("system", marked);
                room = room.saturating_sub(1);
            }
        }
        let Some(life) = self.history else {
            return Ok(());
        };
        let Some(mut messages) = body.get("messages").and_then(elements) else {
            return Ok(());
        };
        let room = room.min(usize::from(self.turns));
        let users = messages.iter_mut().rev().filter(|message| {
            let role = JsonObject::read(message.as_str());
            role.is_some_and(|message| {
                message
                    .get("role")
                    .is_some_and(|r| r.as_str() == "\"user\"")
            })
        });
        for message in users.take(room) {
            let Some(mut members) = JsonObject::read(message.as_str()) else {
                continue;
            };
            let marked = members
                .get("content")
                .and_then(|content| (form.mark)(content, life));
            if let Some(marked) = marked {
                members.set("content", marked);
                *message = members.to_json()?;
            }
        }
        body.set("messages", list(&messages)?);
        Ok(())
    }

    fn key_for(&self, body: &JsonObject) -> Option<String> {
        match &self.key {
            CacheKey::None => None,
            CacheKey::Given(key) => Some(key.clone()),
            CacheKey::OfPrefix => {
                let mut hash = Fnv::default();
                for name in ["model", "tools", "instructions"] {
                    hash.add(body.get(name).map_or("", Json::as_str));
                }
                let first = body.get("messages").and_then(elements);
                let first = first.and_then(|messages| messages.into_iter().next());
                let system = first.filter(|message| {
                    let members = JsonObject::read(message.as_str());
                    let role = members.and_then(|members| members.get("role").cloned());
                    role.is_some_and(|role| {
                        ["\"system\"", "\"developer\""].contains(&role.as_str())
                    })
                });
                hash.add(system.as_ref().map_or("", Json::as_str));
                Some(format!("unifiedai-{:016x}", hash.0))
            }
        }
    }
}

const KEY: &str = "prompt_cache_key";

/// FNV-1a: the same text gives the same key in every process and version.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, text: &str) {
        // The separator keeps `ab`, `c` apart from `a`, `bc`.
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// How an API writes a mark.
struct Form {
    /// Marks the end of a content, which is a text or a list of blocks; `None` if no block of it can be marked.
    mark: fn(&Json, CacheLife) -> Option<Json>,
    /// The object that has the tools; empty for the body.
    tools_in: &'static str,
    omits_optional_tools: bool,
}

const CONTROL: Form = Form {
    mark: cache_control,
    tools_in: "",
    omits_optional_tools: false,
};

#[cfg(feature = "bedrock")]
const POINT: Form = Form {
    mark: cache_point,
    tools_in: "toolConfig",
    omits_optional_tools: true,
};

/// Returns the number of marks that were added.
fn mark_tools(body: &mut JsonObject, form: &Form, life: CacheLife) -> Result<usize, Error> {
    if form.tools_in.is_empty() {
        let marked = body.get("tools").and_then(|tools| (form.mark)(tools, life));
        return Ok(marked.map_or(0, |marked| {
            body.set("tools", marked);
            1
        }));
    }
    let inner = body.get(form.tools_in);
    let Some(mut inner) = inner.and_then(|inner| JsonObject::read(inner.as_str())) else {
        return Ok(0);
    };
    let marked = inner
        .get("tools")
        .and_then(|tools| (form.mark)(tools, life));
    let Some(marked) = marked else {
        return Ok(0);
    };
    inner.set("tools", marked);
    body.set(form.tools_in, inner.to_json()?);
    Ok(1)
}

/// Anthropic's mark, in the last block that can have one.
fn cache_control(content: &Json, life: CacheLife) -> Option<Json> {
    let mut blocks = match elements(content) {
        Some(blocks) => blocks,
        None => vec![blocks::text_block(content)?],
    };
    let last = blocks.iter_mut().rev().find(|block| takes_control(block))?;
    let mut members = JsonObject::read(last.as_str())?;
    if members.get("cache_control").is_some() {
        return None;
    }
    let control = match life {
        CacheLife::Default => r#"{"type":"ephemeral"}"#,
        CacheLife::FiveMinutes => r#"{"type":"ephemeral","ttl":"5m"}"#,
        CacheLife::Hour => r#"{"type":"ephemeral","ttl":"1h"}"#,
    };
    members.set("cache_control", Json::part(control));
    *last = members.to_json().ok()?;
    list(&blocks).ok()
}

/// Reasoning and empty texts are refused with a mark; a tool that is loaded later is not in the prefix.
fn takes_control(block: &Json) -> bool {
    let Some(members) = JsonObject::read(block.as_str()) else {
        return false;
    };
    let is = |name: &str, values: &[&str]| {
        members
            .get(name)
            .is_some_and(|value| values.contains(&value.as_str()))
    };
    !is("type", &["\"thinking\"", "\"redacted_thinking\""])
        && !is("text", &["\"\""])
        && !is("defer_loading", &["true"])
}

/// Bedrock's mark, after the last block. A mark stands neither first nor next to reasoning.
#[cfg(feature = "bedrock")]
fn cache_point(content: &Json, life: CacheLife) -> Option<Json> {
    let mut blocks = elements(content)?;
    let last = blocks.last()?;
    if is_object_with(last, "cachePoint") || is_object_with(last, "reasoningContent") {
        return None;
    }
    blocks.push(Json::part(match life {
        CacheLife::Default => r#"{"cachePoint":{"type":"default"}}"#,
        CacheLife::FiveMinutes => r#"{"cachePoint":{"type":"default","ttl":"5m"}}"#,
        CacheLife::Hour => r#"{"cachePoint":{"type":"default","ttl":"1h"}}"#,
    }));
    list(&blocks).ok()
}
