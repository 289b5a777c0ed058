//! Causes of cache misses that are known by name.

use super::{blocks::elements, prefix::Tier, rules::CacheTier};
use crate::{Json, provider::kit::json_object::JsonObject};
use std::fmt;

/// Why a prompt differs from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheMissCause {
    /// Another model.
    Model,
    /// Another value of a field that changes the prompt, such as the schema of the response.
    Setting,
    /// A date, a time, or an id in the text: put it behind what is cached, such as into the last message of the user.
    Timestamp,
    /// The same tools in another order: sort them.
    ToolOrder,
    /// A tool of the same name has another schema.
    ToolSchema {
        /// The tool.
        tool: String,
    },
    /// A tool was added or removed.
    ToolList,
    /// The same members of an object in another order: a map without an order was serialised.
    MemberOrder,
    /// The texts differ only in white space.
    Whitespace,
    /// An earlier message is another one.
    History,
    /// Another text, or another value.
    Content,
}

impl fmt::Display for CacheMissCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CacheMissCause::Model => f.write_str("the model is another one"),
            CacheMissCause::Setting => {
                f.write_str("a setting that changes the prompt has another value")
            }
            CacheMissCause::Timestamp => f.write_str(
                "the text contains a date, a time or an id that changes with each request",
            ),
            CacheMissCause::ToolOrder => f.write_str("the same tools are in another order"),
            CacheMissCause::ToolSchema { tool } => {
                write!(
                    f,
                    "the schema of the tool `{tool}` changed under the same name"
                )
            }
            CacheMissCause::ToolList => f.write_str("a tool was added or removed"),
            CacheMissCause::MemberOrder => {
                f.write_str("the members of an object are in another order")
            }
            CacheMissCause::Whitespace => f.write_str("the texts differ only in white space"),
            CacheMissCause::History => f.write_str("an earlier message changed"),
            CacheMissCause::Content => f.write_str("the content changed"),
        }
    }
}

/// The cause of the difference at element `at` of a tier, between the values `a` and `b` at `path`.
pub(super) fn cause_in(
    old: &Tier,
    new: &Tier,
    at: usize,
    path: &str,
    a: &str,
    b: &str,
) -> CacheMissCause {
    if old.tier == CacheTier::Tools {
        if let Some(cause) = of_tools(old, new, at, path) {
            return cause;
        }
    }
    if without_spaces(a) == without_spaces(b) {
        return CacheMissCause::Whitespace;
    }
    if is_reordered(a, b) {
        return CacheMissCause::MemberOrder;
    }
    if is_moment(a, b) {
        return CacheMissCause::Timestamp;
    }
    match old.tier {
        CacheTier::Messages => CacheMissCause::History,
        _ => CacheMissCause::Content,
    }
}

fn of_tools(old: &Tier, new: &Tier, at: usize, path: &str) -> Option<CacheMissCause> {
    let texts = |tier: &Tier| {
        let mut texts: Vec<String> = tier
            .elements
            .iter()
            .map(|e| e.as_str().to_owned())
            .collect();
        texts.sort_unstable();
        texts
    };
    if texts(old) == texts(new) {
        return Some(CacheMissCause::ToolOrder);
    }
    let names = (name_at(old, at), name_at(new, at));
    if names.0 != names.1 {
        return Some(CacheMissCause::ToolList);
    }
    let schemas = [
        "parameters",
        "input_schema",
        "inputSchema",
        "parametersJsonSchema",
    ];
    let is_schema = schemas.iter().any(|name| {
        let member = [".", name].concat();
        path.split_once(&member)
            .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    // A tool without a name is one of the provider's own.
    names
        .0
        .filter(|_| is_schema)
        .map(|tool| CacheMissCause::ToolSchema { tool })
}

/// The name of a tool, also inside of the object that some APIs put around it.
fn name_at(tier: &Tier, at: usize) -> Option<String> {
    fn name(tool: &Json) -> Option<String> {
        let members = JsonObject::read(tool.as_str())?;
        if let Some(name) = members.get("name") {
            return name.decode().ok();
        }
        ["function", "toolSpec"]
            .iter()
            .find_map(|inner| name(members.get(inner)?))
    }
    name(tier.elements.get(at)?)
}

fn without_spaces(text: &str) -> String {
    // Inside of JSON's strings white space is escaped.
    let text = text
        .replace("\\n", " ")
        .replace("\\t", " ")
        .replace("\\r", " ");
    text.split_whitespace().collect()
}

/// Whether two values have the same members, at any depth, in another order.
fn is_reordered(a: &str, b: &str) -> bool {
    fn sorted(json: &Json) -> Option<String> {
        if let Some(list) = elements(json) {
            let list: Option<Vec<String>> = list.iter().map(sorted).collect();
            return Some(format!("[{}]", list?.join(",")));
        }
        if !json.as_str().trim_start().starts_with('{') {
            return Some(json.as_str().to_owned());
        }
        let members = JsonObject::read(json.as_str())?;
        let mut members: Vec<String> = members
            .iter()
            .map(|(name, value)| Some(format!("{name:?}:{}", sorted(value)?)))
            .collect::<Option<_>>()?;
        members.sort_unstable();
        Some(format!("{{{}}}", members.join(",")))
    }
    let (a, b) = (Json::part(a), Json::part(b));
    a.as_str().trim_start().starts_with('{') && sorted(&a).is_some_and(|a| sorted(&b) == Some(a))
}

/// Whether two texts become equal if dates, times, long numbers and ids are left out, and have some.
fn is_moment(a: &str, b: &str) -> bool {
    let (kept_a, some_a) = without_moments(a);
    let (kept_b, some_b) = without_moments(b);
    some_a && some_b && kept_a == kept_b
}

/// The words that are no moments, and whether there were others.
fn without_moments(text: &str) -> (Vec<&str>, bool) {
    let is_end = |letter: char| letter.is_whitespace() || "\"'(),;<>[]{}".contains(letter);
    let words: Vec<&str> = text
        .split(is_end)
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty())
        .collect();
    let has_names = words.iter().any(|word| is_name(word));
    let is_moment = |word: &&str| {
        let is_number = word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit());
        is_stamp(word) || is_name(word) || (has_names && is_number)
    };
    let (moments, kept): (Vec<&str>, Vec<&str>) = words.into_iter().partition(is_moment);
    (kept, !moments.is_empty())
}

/// `2026-11-30T12:00:00Z`, `12:01`, `1786591609`, or an id of hexadecimal digits.
fn is_stamp(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_time = word
        .bytes()
        .all(|b| b.is_ascii_digit() || b"-:/.TZ+".contains(&b));
    let is_divided = word.contains([':', '-', '/']);
    let is_id = word.len() >= 16 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_id || (is_time && ((digits >= 2 && is_divided) || digits >= 9))
}

fn is_name(word: &str) -> bool {
    const NAMES: [&str; 19] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(word))
}
