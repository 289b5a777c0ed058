//! JSON that arrives in pieces, as the value so far.

use super::Json;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fmt;

/// Reads JSON text in pieces and gives the value so far after each. Every piece is read once, and the value is built in place, so
/// that a long text costs as much as its length.
///
/// What is shown is always a part of the final value: a text may be cut, a list or an object may lack its last members. A number
/// is shown once its end is known, `true`, `false` and `null` once they are complete, and a member of an object once its value
/// begins. A Markdown code block around the JSON is skipped.
///
/// ```
/// use unifiedai::chat::PartialJson;
///
/// let mut json = PartialJson::new();
/// json.push(r#"{"city": "Lis"#)?;
/// assert_eq!(json.text_at("/city"), Some("Lis"));
/// json.push(r#"bon", "people": 54"#)?;
/// assert_eq!(json.to_json().unwrap().as_str(), r#"{"city":"Lisbon"}"#);
/// json.push("5000}")?;
/// assert!(json.is_complete());
/// # Ok::<(), unifiedai::chat::PartialJsonError>(())
/// ```
#[derive(Debug, Default)]
pub struct PartialJson {
    root: Option<Value>,
    /// The containers that are open, the outermost first.
    open: Vec<Open>,
    expected: Expected,
    token: Token,
    is_fenced: bool,
    /// Bytes taken so far.
    offset: usize,
    failed: Option<PartialJsonError>,
    #[cfg(test)]
    work: usize,
}

/// The text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartialJsonError {
    /// The offset in bytes.
    pub offset: usize,
    /// What was expected there.
    pub expected: &'static str,
}

#[derive(Debug)]
enum Open {
    Array,
    /// With the name of its last member.
    Object(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    #[default]
    Start,
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
    /// Nothing but white space, or the rest of a code block.
    Nothing,
}

/// A token that is not complete.
#[derive(Debug, Default)]
enum Token {
    #[default]
    None,
    /// The first line of a code block.
    Fence,
    Text(Text),
    Number(String),
    /// The word, and how much of it came.
    Word(&'static str, usize),
}

#[derive(Debug, Default)]
struct Text {
    /// A member's name; the text of a value is in the value.
    name: Option<String>,
    escape: Escape,
}

#[derive(Clone, Copy, Debug, Default)]
enum Escape {
    #[default]
    None,
    Backslash,
    /// The digits so far: their value and their number.
    Unicode(u32, u32),
}

/// As deep as `serde_json` reads.
const MAX_DEPTH: usize = 127;

impl PartialJson {
    /// Nothing so far.
    #[must_use]
    pub fn new() -> Self {
        PartialJson::default()
    }

    /// Takes the next piece of the text.
    ///
    /// # Errors
    /// If the text is not JSON. The error is final: later calls return it again, and the value stays as it was.
    pub fn push(&mut self, text: &str) -> Result<(), PartialJsonError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let taken = self.take(first, rest).map_err(|expected| PartialJsonError {
                offset: self.offset,
                expected,
            });
            let taken = taken.inspect_err(|error| self.failed = Some(*error))?;
            rest = rest.get(taken..).unwrap_or_default();
            self.offset = self.offset.saturating_add(taken);
        }
        Ok(())
    }

    /// The end of the text: a number at its end is complete.
    ///
    /// # Errors
    /// If the JSON is not complete.
    pub fn finish(&mut self) -> Result<(), PartialJsonError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let ended = self.end_number();
        let expected = match ended {
            Ok(()) if self.is_complete() => return Ok(()),
            Ok(()) => "the rest of the JSON",
            Err(expected) => expected,
        };
        Err(PartialJsonError {
            offset: self.offset,
            expected,
        })
    }

    /// The text so far at a JSON pointer, such as `/cities/0/name`; the empty pointer is the value itself. Nothing is copied.
    #[must_use]
    pub fn text_at(&self, pointer: &str) -> Option<&str> {
        self.value()?.pointer(pointer)?.as_str()
    }

    /// The value so far as a `T`; `None` before its first character, while all of it is a number or a word that is not complete,
    /// and while members are missing that `T` requires. This copies the value.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(self.value()?).ok()
    }

    /// The value so far as JSON. This copies the value.
    #[must_use]
    pub fn to_json(&self) -> Option<Json> {
        Json::new(self.value()?).ok()
    }

    pub(crate) fn value(&self) -> Option<&Value> {
        self.root.as_ref()
    }

    /// True if the value is the final one.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.expected == Expected::Nothing && matches!(self.token, Token::None)
    }

    /// Takes at least the first character of `rest`, and returns how many bytes.
    fn take(&mut self, first: char, rest: &str) -> Result<usize, &'static str> {
        let size = first.len_utf8();
        self.count_work(size);
        match &mut self.token {
            Token::None => self.begin(first)?,
            Token::Fence => {
                if first == '\n' {
                    (self.token, self.expected) = (Token::None, Expected::Value);
                }
            }
            Token::Text(_) => return self.text(first, rest),
            Token::Number(digits) => match first {
                '0'..='9' | '+' | '-' | '.' | 'e' | 'E' => digits.push(first),
                _ => {
                    self.end_number()?;
                    self.begin(first)?;
                }
            },
            Token::Word(word, at) => {
                if word.get(*at..).and_then(|rest| rest.chars().next()) != Some(first) {
                    return Err("the rest of `true`, `false` or `null`");
                }
                *at = at.saturating_add(size);
                if *at == word.len() {
                    let value = match *word {
                        "true" => Value::Bool(true),
                        "false" => Value::Bool(false),
                        _ => Value::Null,
                    };
                    self.token = Token::None;
                    self.place(value);
                    self.end_value();
                }
            }
        }
        Ok(size)
    }

    /// The first character of a token.
    fn begin(&mut self, first: char) -> Result<(), &'static str> {
        if matches!(first, ' ' | '\n' | '\r' | '\t') {
            return Ok(());
        }
        match (self.expected, first) {
            (Expected::Start, '`') => {
                self.is_fenced = true;
                self.token = Token::Fence;
            }
            (Expected::ValueOrEnd, ']') | (Expected::NameOrEnd, '}') => self.close(),
            (Expected::CommaOrEnd, ']') if matches!(self.open.last(), Some(Open::Array)) => {
                self.close();
            }
            (Expected::CommaOrEnd, '}') if matches!(self.open.last(), Some(Open::Object(_))) => {
                self.close();
            }
            (Expected::CommaOrEnd, ',') => {
                self.expected = match self.open.last() {
                    Some(Open::Array) => Expected::Value,
                    _ => Expected::Name,
                };
            }
            (Expected::CommaOrEnd, _) => return Err("`,` or the end of the list or object"),
            (Expected::Colon, ':') => self.expected = Expected::Value,
            (Expected::Colon, _) => return Err("`:`"),
            (Expected::Name | Expected::NameOrEnd, '"') => {
                self.token = Token::Text(Text {
                    name: Some(String::new()),
                    escape: Escape::None,
                });
            }
            (Expected::Name | Expected::NameOrEnd, _) => return Err("the name of a member"),
            (Expected::Nothing, _) if self.is_fenced => {}
            (Expected::Nothing, _) => return Err("the end of the text"),
            (Expected::Start | Expected::Value | Expected::ValueOrEnd, _) => {
                self.begin_value(first)?
            }
        }
        Ok(())
    }

    fn begin_value(&mut self, first: char) -> Result<(), &'static str> {
        match first {
            '"' => {
                self.place(Value::String(String::new()));
                self.token = Token::Text(Text::default());
            }
            '{' | '[' if self.open.len() >= MAX_DEPTH => return Err("a value that is less deep"),
            '{' => {
                self.place(Value::Object(Map::new()));
                self.open.push(Open::Object(String::new()));
                self.expected = Expected::NameOrEnd;
            }
            '[' => {
                self.place(Value::Array(Vec::new()));
                self.open.push(Open::Array);
                self.expected = Expected::ValueOrEnd;
            }
            '-' | '0'..='9' => self.token = Token::Number(first.to_string()),
            't' => self.token = Token::Word("true", 1),
            'f' => self.token = Token::Word("false", 1),
            'n' => self.token = Token::Word("null", 1),
            _ => return Err("a value"),
        }
        Ok(())
    }

    /// A part of a text, up to its end or the next escape.
    fn text(&mut self, first: char, rest: &str) -> Result<usize, &'static str> {
        let Token::Text(text) = &mut self.token else {
            return Err("a text");
        };
        let mut taken = first.len_utf8();
        let mut decoded = String::new();
        match (text.escape, first) {
            (Escape::None, '"') => {
                self.end_text();
                return Ok(taken);
            }
            (Escape::None, '\\') => text.escape = Escape::Backslash,
            (Escape::None, _) => {
                let end = rest.find(['"', '\\']).unwrap_or(rest.len());
                let plain = rest.get(..end).unwrap_or_default();
                if plain.bytes().any(|byte| byte < b' ') {
                    return Err("a text without control characters");
                }
                taken = end;
                plain.clone_into(&mut decoded);
            }
            (Escape::Backslash, 'u') => text.escape = Escape::Unicode(0, 0),
            (Escape::Backslash, _) => {
                text.escape = Escape::None;
                decoded.push(match first {
                    '"' | '\\' | '/' => first,
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    _ => return Err("an escape of JSON"),
                });
            }
            (Escape::Unicode(value, count), _) => {
                text.escape = text_escape(value, count, first, &mut decoded)?;
            }
        }
        if decoded.is_empty() {
            return Ok(taken);
        }
        self.count_work(taken);
        match &mut self.token {
            Token::Text(Text {
                name: Some(name), ..
            }) => name.push_str(&decoded),
            _ => {
                if let Some(Value::String(shown)) = self.current() {
                    shown.push_str(&decoded);
                }
            }
        }
        Ok(taken)
    }

    fn end_text(&mut self) {
        let token = std::mem::take(&mut self.token);
        match token {
            Token::Text(Text {
                name: Some(name), ..
            }) => {
                if let Some(Open::Object(last)) = self.open.last_mut() {
                    *last = name;
                }
                self.expected = Expected::Colon;
            }
            _ => self.end_value(),
        }
    }

    /// Places a number whose end is known, if there is one.
    fn end_number(&mut self) -> Result<(), &'static str> {
        let Token::Number(digits) = &self.token else {
            return Ok(());
        };
        let Ok(number) = serde_json::from_str(digits) else {
            return Err("the rest of a number");
        };
        self.token = Token::None;
        self.place(number);
        self.end_value();
        Ok(())
    }

    fn end_value(&mut self) {
        self.expected = match self.open.is_empty() {
            true => Expected::Nothing,
            false => Expected::CommaOrEnd,
        };
    }

    fn close(&mut self) {
        self.open.pop();
        self.end_value();
    }

    /// Adds a value where one is expected.
    fn place(&mut self, value: Value) {
        let depth = self.open.len();
        self.count_work(depth);
        if depth == 0 {
            self.root = Some(value);
            return;
        }
        let container = descend(&mut self.root, &self.open, depth.saturating_sub(1));
        match (container, self.open.last()) {
            (Some(Value::Array(items)), _) => items.push(value),
            (Some(Value::Object(members)), Some(Open::Object(name))) => {
                members.insert(name.clone(), value);
            }
            _ => {}
        }
    }

    /// The value that was placed last.
    fn current(&mut self) -> Option<&mut Value> {
        let depth = self.open.len();
        self.count_work(depth);
        descend(&mut self.root, &self.open, depth)
    }

    fn count_work(&mut self, _work: usize) {
        #[cfg(test)]
        {
            self.work = self.work.saturating_add(_work);
        }
    }
}

/// The last value inside of so many of the open containers.
fn descend<'v>(root: &'v mut Option<Value>, open: &[Open], depth: usize) -> Option<&'v mut Value> {
    let mut value = root.as_mut()?;
    for container in open.iter().take(depth) {
        value = match (value, container) {
            (Value::Array(items), Open::Array) => items.last_mut()?,
            (Value::Object(members), Open::Object(name)) => members.get_mut(name)?,
            _ => return None,
        };
    }
    Some(value)
}

/// One more digit of `\uXXXX`, or a character between the two halves of a surrogate pair.
fn text_escape(
    value: u32,
    count: u32,
    next: char,
    decoded: &mut String,
) -> Result<Escape, &'static str> {
    const PAIR: &str = "the second half of a surrogate pair";
    // After the first half: `\`, `u`, and four digits more.
    let value = match (count, next) {
        (4, '\\') | (5, 'u') => return Ok(Escape::Unicode(value, count.saturating_add(1))),
        (4 | 5, _) => return Err(PAIR),
        _ => {
            let digit = next.to_digit(16).ok_or("a hexadecimal digit")?;
            (value << 4) | digit
        }
    };
    let count = count.saturating_add(1);
    if count == 4 {
        match value {
            0xd800..=0xdbff => return Ok(Escape::Unicode(value, 4)),
            0xdc00..=0xdfff => return Err("the first half of a surrogate pair"),
            _ => {}
        }
    } else if count < 10 {
        return Ok(Escape::Unicode(value, count));
    }
    let code = match count {
        4 => value,
        _ => {
            let (high, low) = (value >> 16, value & 0xffff);
            let half = |half: u32, from: u32| half.checked_sub(from).filter(|half| *half < 0x400);
            let (high, low) = (half(high, 0xd800), half(low, 0xdc00));
            let (high, low) = high.zip(low).ok_or(PAIR)?;
            0x1_0000_u32.saturating_add((high << 10) | low)
        }
    };
    decoded.push(char::from_u32(code).ok_or(PAIR)?);
    Ok(Escape::None)
}

impl fmt::Display for PartialJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PartialJsonError { offset, expected } = self;
        write!(
            f,
            "the text is not JSON: {expected} was expected at byte {offset}"
        )
    }
}

impl std::error::Error for PartialJsonError {}

#[cfg(test)]
mod tests;
