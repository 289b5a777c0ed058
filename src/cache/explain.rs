//! Why a request cannot read the cache that an earlier one wrote.

use super::{
    blocks::elements,
    cause::{CacheMissCause, cause_in},
    prefix::{Prefix, Tier, size},
    rules::CacheTier,
};
use crate::{
    ChatRequest, Error, Json, UnifiedChatResponse, provider::Provider,
    provider::kit::json_object::JsonObject,
};
use std::fmt;

/// Compares what `provider` would cache of two requests that follow one another, as they are encoded: without the marks, which
/// may move, and without what is not part of the prompt (limits, temperature). Nothing is sent.
///
/// A conversation that only grows is no difference: the answer is `None`.
///
/// ```
/// use unifiedai::{ChatRequest, cache::explain_cache, provider::Anthropic};
///
/// let provider = Anthropic::new("my-key")?;
/// let ask = |now: &str| ChatRequest::new("claude").system(format!("It is {now}. Be brief.")).user("Hello");
/// let miss = explain_cache(&provider, &ask("2026-11-30 12:00"), &ask("2026-11-30 12:01"))?.unwrap();
/// assert_eq!(miss.path, "system[0].text");
/// println!("{miss}");
/// # Ok::<(), unifiedai::Error>(())
/// ```
///
/// # Errors
/// `invalid_request` if the provider cannot express one of them.
pub fn explain_cache(
    provider: &dyn Provider,
    previous: &ChatRequest,
    next: &ChatRequest,
) -> Result<Option<CacheMiss>, Error> {
    let rules = provider.cache_rules();
    let before = Prefix::of(provider, &rules, previous)?;
    let after = Prefix::of(provider, &rules, next)?;
    let order: Vec<CacheTier> = before.tiers.iter().map(|tier| tier.tier).collect();
    let found = first_difference(&before, &after);
    Ok(found.map(|found| {
        // Of a cache that ends at marks the whole tier is lost; else what comes after the difference.
        let start = tier_start(&before, found.tier);
        let is_inside = found.tier == CacheTier::Messages || !rules.ends_at_marks;
        let kept = if is_inside { found.byte } else { start };
        let lost = before.size().saturating_sub(kept);
        let place = order.iter().position(|tier| *tier == found.tier);
        CacheMiss {
            path: found.path,
            byte: found.byte,
            lost_tiers: order.get(place.unwrap_or(0)..).unwrap_or_default().to_vec(),
            lost_tokens: (lost / BYTES_PER_TOKEN) as u64,
            cause: found.cause,
            previous: found.previous,
            next: found.next,
        }
    }))
}

/// For the estimate of tokens.
const BYTES_PER_TOKEN: usize = 4;

/// The first difference of two requests that loses a part of a cache.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CacheMiss {
    /// The path in the encoded request: `tools[3].description`. The content of a message counts as a list of blocks, also
    /// where it is sent as a text.
    pub path: String,
    /// The first byte of the earlier prompt that differs, counted over the JSON of its tiers in their order.
    pub byte: usize,
    /// The parts that cannot be read from the cache.
    pub lost_tiers: Vec<CacheTier>,
    /// The tokens of the earlier prompt that cannot be read from the cache: an estimate, from the bytes.
    pub lost_tokens: u64,
    /// The cause, as far as it has a name.
    pub cause: CacheMissCause,
    /// The earlier value around the difference.
    pub previous: String,
    /// The later value around the difference.
    pub next: String,
}

impl fmt::Display for CacheMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the prompt cache is lost from `{}` on (byte {}, about {} tokens, {:?}): {}; before: `{}`, now: `{}`",
            self.path,
            self.byte,
            self.lost_tokens,
            self.lost_tiers,
            self.cause,
            self.previous,
            self.next
        )
    }
}

/// What the provider says itself about a miss: Anthropic's `diagnostics`, which a request asks for with
/// `extra("diagnostics", ..)` and the beta `cache-diagnosis-2026-04-07`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheVerdict {
    /// The provider's word: `tools_changed`, `previous_message_not_found`.
    pub reason: String,
    /// The tokens that were not read.
    pub missed_tokens: Option<u64>,
}

impl CacheVerdict {
    /// The verdict in a response; `None` if it has none, or reports no miss.
    #[must_use]
    pub fn of(response: &UnifiedChatResponse) -> Option<CacheVerdict> {
        let extra = &response.provider_metadata.extra;
        let (_, diagnostics) = extra.iter().find(|(name, _)| name == "diagnostics")?;
        let diagnostics = JsonObject::read(diagnostics.as_str())?;
        let reason = JsonObject::read(diagnostics.get("cache_miss_reason")?.as_str())?;
        let missed = reason.get("cache_missed_input_tokens");
        Some(CacheVerdict {
            reason: reason.get("type")?.decode().ok()?,
            missed_tokens: missed.and_then(|missed| missed.decode().ok()),
        })
    }
}

/// Panics unless the second request can read the cache of the first one, and says why not: see [`explain_cache`]. For tests.
///
/// With two requests they are compared in the form of OpenAI's chat API, with three arguments in that of a provider.
///
/// ```
/// use unifiedai::{ChatRequest, assert_cache_stable};
///
/// let first = ChatRequest::new("m").system("Be brief.").user("Hello");
/// let second = first.clone().assistant("Hi!").user("Who are you?");
/// assert_cache_stable!(&first, &second);
/// ```
#[macro_export]
macro_rules! assert_cache_stable {
    ($previous:expr, $next:expr $(,)?) => {
        if let Err(what) = $crate::cache::check_cache_stable(None, $previous, $next) {
            panic!("{what}");
        }
    };
    ($provider:expr, $previous:expr, $next:expr $(,)?) => {
        if let Err(what) = $crate::cache::check_cache_stable(Some($provider), $previous, $next) {
            panic!("{what}");
        }
    };
}

/// What [`assert_cache_stable!`](crate::assert_cache_stable) checks: `Err` has its message.
#[doc(hidden)]
pub fn check_cache_stable(
    provider: Option<&dyn Provider>,
    previous: &ChatRequest,
    next: &ChatRequest,
) -> Result<(), String> {
    let explained = match provider {
        Some(provider) => explain_cache(provider, previous, next),
        None => neutral(previous, next),
    };
    match explained {
        Ok(None) => Ok(()),
        Ok(Some(miss)) => Err(miss.to_string()),
        Err(error) => Err(format!("the requests cannot be compared: {error}")),
    }
}

fn neutral(previous: &ChatRequest, next: &ChatRequest) -> Result<Option<CacheMiss>, Error> {
    let provider = crate::provider::OpenAiChat::builder().base_url("http://127.0.0.1/v1");
    let lenient = |request: &ChatRequest| request.clone().drop_unsupported();
    explain_cache(&provider.build()?, &lenient(previous), &lenient(next))
}

struct Found {
    path: String,
    byte: usize,
    tier: CacheTier,
    cause: CacheMissCause,
    previous: String,
    next: String,
}

/// A change of the model or of a setting loses a tier as a change of its content does; the earlier tier counts.
fn first_difference(before: &Prefix, after: &Prefix) -> Option<Found> {
    let first = before.tiers.first()?.tier;
    if before.model != after.model {
        return Some(Found {
            path: "model".to_owned(),
            byte: 0,
            tier: first,
            cause: CacheMissCause::Model,
            previous: before.model.clone(),
            next: after.model.clone(),
        });
    }
    let mut byte = 0_usize;
    for (old, new) in before.tiers.iter().zip(&after.tiers) {
        let mut settings = before.settings.iter().zip(&after.settings);
        let changed = settings.find(|((_, a, tier), (_, b, _))| *tier == old.tier && a != b);
        if let Some(((path, a, tier), (_, b, _))) = changed {
            let text = |value: &Option<Json>| {
                let text = value.as_ref().map_or("absent", Json::as_str);
                around(text, 0)
            };
            return Some(Found {
                path: (*path).to_owned(),
                byte,
                tier: *tier,
                cause: CacheMissCause::Setting,
                previous: text(a),
                next: text(b),
            });
        }
        if let Some(mut found) = in_tier(old, new) {
            found.byte = found.byte.saturating_add(byte);
            return Some(found);
        }
        byte = byte.saturating_add(old.size());
    }
    None
}

/// The byte at which a tier begins.
fn tier_start(prefix: &Prefix, tier: CacheTier) -> usize {
    let before = prefix.tiers.iter().take_while(|other| other.tier != tier);
    before.map(Tier::size).sum()
}

fn in_tier(old: &Tier, new: &Tier) -> Option<Found> {
    let same = old.elements.iter().zip(&new.elements);
    let same = same.take_while(|(a, b)| a.as_str() == b.as_str()).count();
    let (a, b) = (old.elements.get(same), new.elements.get(same));
    let grows = old.tier == CacheTier::Messages;
    let (path, inner, previous, next) = match (a, b) {
        (None, None) => return None,
        // A conversation may grow; what was taken from its end was not needed either.
        (None, Some(_)) | (Some(_), None) if grows => return None,
        (Some(a), Some(b)) => {
            let found = deepest(a.as_str(), b.as_str());
            (found.path, common(a.as_str(), b.as_str()), found.a, found.b)
        }
        (a, b) => {
            let text =
                |value: Option<&Json>| value.map_or(String::new(), |v| v.as_str().to_owned());
            (String::new(), 0, text(a), text(b))
        }
    };
    let is_indexed = match old.elements.is_empty() {
        true => new.is_indexed,
        false => old.is_indexed,
    };
    let element = match is_indexed {
        true => format!("[{same}]"),
        false => String::new(),
    };
    let path = [old.path, &element, &path].concat();
    let at = common(&previous, &next);
    Some(Found {
        byte: size(old.elements.get(..same).unwrap_or_default()).saturating_add(inner),
        tier: old.tier,
        cause: cause_in(old, new, same, &path, &previous, &next),
        path,
        previous: around(&previous, at),
        next: around(&next, at),
    })
}

struct Deepest {
    path: String,
    a: String,
    b: String,
}

/// The innermost values that differ.
fn deepest(a: &str, b: &str) -> Deepest {
    let (mut path, mut a, mut b) = (String::new(), Json::part(a), Json::part(b));
    while let Some((step, inner_a, inner_b)) = step(&a, &b) {
        path.push_str(&step);
        (a, b) = (inner_a, inner_b);
    }
    Deepest {
        path,
        a: a.as_str().to_owned(),
        b: b.as_str().to_owned(),
    }
}

/// One step into the first member or element that differs; `None` if the values are no two objects or lists, or differ in
/// names or length only there.
fn step(a: &Json, b: &Json) -> Option<(String, Json, Json)> {
    if let (Some(a), Some(b)) = (elements(a), elements(b)) {
        let mut pairs = a.into_iter().zip(b).enumerate();
        let (at, (a, b)) = pairs.find(|(_, (a, b))| a != b)?;
        return Some((format!("[{at}]"), a, b));
    }
    let is_object = |json: &Json| json.as_str().trim_start().starts_with('{');
    if !is_object(a) || !is_object(b) {
        return None;
    }
    let (a, b) = (JsonObject::read(a.as_str())?, JsonObject::read(b.as_str())?);
    let mut pairs = a.iter().zip(b.iter());
    let ((name, a), (other, b)) = pairs.find(|(a, b)| a != b)?;
    (name == other).then(|| (format!(".{name}"), a.clone(), b.clone()))
}

/// The length of the common beginning.
fn common(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// About 60 characters around a byte.
fn around(text: &str, byte: usize) -> String {
    const BEFORE: usize = 20;
    const ALL: usize = 60;
    let start = byte.saturating_sub(BEFORE);
    let rest = text
        .char_indices()
        .skip_while(|(at, _)| *at < start)
        .map(|(_, letter)| letter);
    let mut shown: String = rest.clone().take(ALL).collect();
    if rest.count() > ALL {
        shown.push_str("..");
    }
    shown
}
