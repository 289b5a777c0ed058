//! The content of responses, independent of the API.

use serde_json::{Map, Value};

use crate::fault::split_mix;

/// The part of a request on which the response depends.
#[derive(Debug, Default)]
pub(crate) struct ModelRequest {
    pub(crate) prompt: String,
    pub(crate) prompt_tokens: usize,
    /// The last message is the result of a tool.
    pub(crate) tool_result: Option<String>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    pub(crate) one_call: bool,
    /// Respond with JSON of this schema.
    pub(crate) schema: Option<Value>,
    pub(crate) reason: bool,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) stop: Vec<String>,
    /// The exact number of content tokens.
    pub(crate) load: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

#[derive(Debug, Default)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    Required,
    Named(String),
}

/// The content, in parts of about a token.
#[derive(Debug)]
pub(crate) struct ModelResponse {
    pub(crate) reasoning: Vec<String>,
    pub(crate) content: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish: Finish,
    pub(crate) prompt_tokens: usize,
    /// Reasoning tokens, whether or not they are shown.
    pub(crate) thought: usize,
    hidden: usize,
}

#[derive(Debug)]
pub(crate) struct Call {
    /// Nine hex digits.
    pub(crate) id: String,
    pub(crate) name: String,
    /// A JSON object, in parts.
    pub(crate) arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finish {
    Stop,
    StopSequence,
    Length,
    ToolCalls,
}

const FAST: &str = "Fast inference changes what a program can be. When the first token is there in the blink of an eye, an answer \
feels like part of the conversation and not like a page that loads. An agent that takes twenty steps no longer needs a coffee \
break – it finishes while you still look at it. Voices can answer without an awkward pause, editors can complete a line before you \
type it, and a model may think longer because thinking costs so little time. Speed is not a luxury here: it is what turns a clever \
model into a tool that people reach for.";

impl ModelResponse {
    /// The response to `ask`; `choice` and `seed` make several responses differ.
    pub(crate) fn new(ask: &ModelRequest, choice: usize, seed: u64) -> Self {
        let mut answer = Self {
            reasoning: Vec::new(),
            content: Vec::new(),
            calls: Vec::new(),
            finish: Finish::Stop,
            prompt_tokens: ask.prompt_tokens,
            thought: 0,
            hidden: 0,
        };
        if let Some(tokens) = ask.load {
            answer.content = (0..tokens).map(load_token).collect();
            answer.limit(ask.max_tokens);
            return answer;
        }
        let called = ask.called();
        if ask.reason {
            let thought = if called.is_empty() {
                format!(
                    "The user says: {}. A short and friendly answer fits.",
                    excerpt(&ask.prompt)
                )
            } else {
                format!(
                    "The user says: {}. That needs a call of {}.",
                    excerpt(&ask.prompt),
                    called[0].name
                )
            };
            answer.reasoning = pieces(&thought);
        }
        if called.is_empty() {
            let (text, stopped) = ask.text(choice);
            answer.content = pieces(&text);
            if stopped {
                answer.finish = Finish::StopSequence;
            }
        } else {
            answer.finish = Finish::ToolCalls;
            let mut state = seed ^ choice as u64;
            answer.calls = called
                .iter()
                .map(|tool| {
                    let example =
                        example(&tool.schema, &tool.schema, "", &mut numbers(&ask.prompt), 0);
                    let arguments = serde_json::to_string_pretty(&example).unwrap_or_default();
                    Call {
                        id: format!("{:09x}", split_mix(&mut state) & 0xf_ffff_ffff),
                        name: tool.name.clone(),
                        arguments: pieces(&arguments),
                    }
                })
                .collect();
        }
        answer.limit(ask.max_tokens);
        answer.thought = answer.reasoning.len();
        answer
    }

    /// Reasoning that is billed but not shown.
    pub(crate) fn hide_reasoning(&mut self) {
        self.hidden = self.reasoning.len();
        self.reasoning.clear();
    }

    /// Reasoning before the content, in the model's own tags. If it is cut off it has no end tag.
    pub(crate) fn tag_reasoning(&mut self) {
        if self.reasoning.is_empty() {
            return;
        }
        let mut content = vec!["<think>".to_owned()];
        content.append(&mut self.reasoning);
        if !self.content.is_empty() || !self.calls.is_empty() {
            content.push("</think>".to_owned());
        }
        content.append(&mut self.content);
        self.content = content;
    }

    fn limit(&mut self, tokens: Option<usize>) {
        let Some(mut left) = tokens else { return };
        let total = self.tokens();
        if total <= left {
            return;
        }
        self.finish = Finish::Length;
        for part in [&mut self.reasoning, &mut self.content] {
            part.truncate(left);
            left -= part.len();
        }
        // A call whose arguments would be cut is omitted, so that no partial command is sent.
        self.calls.retain(|call| {
            let fits = call.arguments.len() <= left;
            left = left.saturating_sub(call.arguments.len());
            fits
        });
    }

    /// All tokens, reasoning included.
    pub(crate) fn tokens(&self) -> usize {
        let calls: usize = self.calls.iter().map(|call| call.arguments.len()).sum();
        self.hidden + self.reasoning.len() + self.content.len() + calls
    }
}

impl ModelRequest {
    fn called(&self) -> Vec<&Tool> {
        let prompt = self.prompt.to_lowercase();
        let wanted = match &self.choice {
            _ if self.tools.is_empty() => return Vec::new(),
            Choice::None => false,
            Choice::Named(name) => {
                return self
                    .tools
                    .iter()
                    .filter(|tool| tool.name == *name)
                    .take(1)
                    .collect();
            }
            Choice::Required => true,
            Choice::Auto => prompt.contains("tool"),
        };
        if !wanted || self.tool_result.is_some() {
            return Vec::new();
        }
        if prompt.contains("tools") && !self.one_call {
            return self.tools.iter().collect();
        }
        let named = self
            .tools
            .iter()
            .find(|tool| prompt.contains(&tool.name.to_lowercase()));
        named.or(self.tools.first()).into_iter().collect()
    }

    /// The text, and whether a stop sequence ended it.
    fn text(&self, choice: usize) -> (String, bool) {
        let mut text = if let Some(schema) = &self.schema {
            example(schema, schema, "", &mut numbers(&self.prompt), 0).to_string()
        } else if let Some(result) = &self.tool_result {
            format!("The tool answered: {}", excerpt(result))
        } else if let Some(echo) = self.prompt.strip_prefix("echo: ") {
            echo.to_owned()
        } else if self.prompt.is_empty() || self.prompt.to_lowercase().contains("fast inference") {
            FAST.to_owned()
        } else {
            format!(
                "You said: {}. This is the loopback provider: it runs on your own machine, knows nothing, and answers everything kindly.",
                excerpt(&self.prompt)
            )
        };
        if choice > 0 && self.schema.is_none() {
            text.push_str(&format!(" (answer {})", choice + 1));
        }
        let stop = self
            .stop
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| text.find(stop.as_str()))
            .min();
        if let Some(at) = stop {
            text.truncate(at);
        }
        (text, stop.is_some())
    }
}

/// A token of a load response, long enough that its event has about 250 bytes.
fn load_token(n: usize) -> String {
    const WORDS: [&str; 8] = [
        " lorem", " quick", " brown", " stream", " faster", " tokens", " arrive", " always",
    ];
    WORDS[n % WORDS.len()].to_owned()
}

/// Splits a text into parts of about a token, whose concatenation is the text.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        let starts = c == ' '
            || c == '\n'
            || piece.len() >= 10
            || (c.is_ascii_punctuation() && !piece.ends_with(' '));
        if starts && !piece.is_empty() {
            pieces.push(std::mem::take(&mut piece));
        }
        piece.push(c);
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// The number of tokens of a text.
pub(crate) fn count(text: &str) -> usize {
    text.len().div_ceil(4)
}

fn excerpt(text: &str) -> String {
    let mut end = text.len().min(120);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim().to_owned()
}

fn numbers(text: &str) -> impl Iterator<Item = i64> + '_ {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
}

/// A value that matches a simple schema.
fn example(
    schema: &Value,
    root: &Value,
    name: &str,
    numbers: &mut dyn Iterator<Item = i64>,
    depth: usize,
) -> Value {
    if depth > 16 {
        return Value::Null;
    }
    if let Some(first) = ["const", "default"].iter().find_map(|key| schema.get(key)) {
        return first.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    if let Some(target) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| root.pointer(path.trim_start_matches('#')))
    {
        return example(target, root, name, numbers, depth + 1);
    }
    if let Some(first) = ["anyOf", "oneOf", "allOf"]
        .iter()
        .find_map(|key| schema.get(key)?.get(0))
    {
        return example(first, root, name, numbers, depth + 1);
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.to_lowercase(),
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds
                .find(|kind| *kind != "null")
                .unwrap_or("null")
                .to_owned()
        }
        _ if schema.get("properties").is_some() || depth == 0 => "object".to_owned(),
        _ => "string".to_owned(),
    };
    let least = schema.get("minimum").and_then(Value::as_i64);
    match kind.as_str() {
        "object" => {
            let mut object = Map::new();
            for (name, property) in schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                object.insert(
                    name.clone(),
                    example(property, root, name, numbers, depth + 1),
                );
            }
            Value::Object(object)
        }
        "array" => {
            let items = schema
                .get("items")
                .map(|items| example(items, root, name, numbers, depth + 1));
            Value::Array(items.into_iter().collect())
        }
        "integer" => numbers.next().or(least).unwrap_or(1).into(),
        "number" => numbers
            .next()
            .or(least)
            .map_or(Value::from(0.5), Value::from),
        "boolean" => true.into(),
        "null" => Value::Null,
        _ => match name {
            "city" | "location" | "place" => "Paris".into(),
            "" => "text".into(),
            name => format!("a {name}").into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn deltas_join_to_the_text() {
        for text in [
            FAST,
            "",
            "a",
            "  two  spaces",
            "日本語のとても長いテキストです",
            "{\n  \"a\": 1\n}",
        ] {
            assert_eq!(pieces(text).concat(), text);
        }
        assert!(pieces(FAST).len() > 100);
    }

    #[test]
    fn limit_inside_reasoning_gives_no_content() {
        let ask = ModelRequest {
            reason: true,
            max_tokens: Some(3),
            ..ModelRequest::default()
        };
        let answer = ModelResponse::new(&ask, 0, 0);
        assert_eq!(
            (answer.reasoning.len(), answer.content.len(), answer.finish),
            (3, 0, Finish::Length)
        );
    }

    #[test]
    fn arguments_take_the_numbers_of_the_prompt() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}});
        let ask = ModelRequest {
            prompt: "use the tool to add 2 and 3".into(),
            tools: vec![Tool {
                name: "add".into(),
                schema,
            }],
            ..ModelRequest::default()
        };
        let answer = ModelResponse::new(&ask, 0, 1);
        let arguments: Value = serde_json::from_str(&answer.calls[0].arguments.concat()).unwrap();
        assert_eq!(arguments, json!({"a": 2, "b": 3}));
        assert_eq!(answer.calls[0].id.len(), 9);
    }

    #[test]
    fn a_recursive_schema_gives_a_finite_value() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(example(&schema, &schema, "", &mut std::iter::empty(), 0).is_object());
    }
}
