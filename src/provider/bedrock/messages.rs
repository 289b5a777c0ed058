//! Converts messages to turns. Converse requires alternating user and assistant turns, starting with the user, all
//! results of a turn's tool calls together at the beginning of the next turn, and no blank text. This module reorders
//! what it can, and refuses the rest with the path of the message.

use super::{
    BLOCK_PROVIDER,
    content::{self, DocumentNames, Kind, Source},
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, Message, Role, ToolCall, ToolResult,
    provider::kit::request::{HistorySupport, NO_OUTPUT, UnsupportedParams, is_blank, trim_end},
};
use serde::Serialize;
use serde_json::value::RawValue;

/// A message in the API's format.
#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// The conversation in Converse's form.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
    /// Whether there are tool calls or results, for which the request must have tools.
    pub(super) has_tools: bool,
    pub(super) omissions: UnsupportedParams<'static>,
    names: DocumentNames,
}

const USER: &str = "user";
const ASSISTANT: &str = "assistant";

pub(super) fn conversation(request: &ChatRequest) -> Result<Conversation<'_>, Error> {
    let mut conversation = Conversation::new(request.drop_unsupported);
    let takes = HistorySupport {
        block_providers: &[BLOCK_PROVIDER],
        signatures: true,
        errors: true,
    };
    conversation.omissions.history(&request.messages, takes);
    for (number, message) in request.messages.iter().enumerate() {
        conversation.message(number, message)?;
    }
    conversation.end_turns();
    conversation.check()?;
    Ok(conversation)
}

impl<'a> Conversation<'a> {
    /// Creates one without messages.
    pub(super) fn new(lenient: bool) -> Self {
        Conversation {
            system: Vec::new(),
            turns: Vec::new(),
            has_tools: false,
            omissions: UnsupportedParams::new(BLOCK_PROVIDER, lenient),
            names: DocumentNames::default(),
        }
    }

    fn message(&mut self, number: usize, message: &'a Message) -> Result<(), Error> {
        if message.name.is_some() {
            self.omissions.refuse("the `name` of a message")?;
        }
        let role = match message.role {
            Role::System | Role::Developer => return self.instructions(number, message),
            Role::Assistant => ASSISTANT,
            Role::User | Role::Tool | Role::Other(_) => USER,
        };
        let mut blocks: Vec<Block<'a>> = Vec::with_capacity(message.content.len());
        for part in &message.content {
            blocks.extend(self.part(number, role, part)?);
        }
        if blocks.is_empty() {
            // A message without text, which a model sends if it has nothing to say.
            return match role {
                ASSISTANT => Ok(()),
                _ => Err(refuse(number, "has no text, or only blank text")),
            };
        }
        self.push(Turn {
            role,
            content: blocks,
        });
        Ok(())
    }

    fn push(&mut self, mut turn: Turn<'a>) {
        match self.turns.last_mut() {
            Some(last) if last.role == turn.role => last.content.append(&mut turn.content),
            _ => self.turns.push(turn),
        }
    }

    fn instructions(&mut self, number: usize, message: &'a Message) -> Result<(), Error> {
        for part in &message.content {
            match part {
                ContentPart::Text { text, .. } if is_blank(text) => {}
                ContentPart::Text { text, .. } => self.system.push(Block::Text(text)),
                ContentPart::ProviderBlock(own) if own.provider == BLOCK_PROVIDER => {
                    self.system.push(Block::Raw(&own.block));
                }
                ContentPart::ProviderBlock(_) => {}
                _ => return Err(refuse(number, "has a system message that is not text")),
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        number: usize,
        role: &'static str,
        part: &'a ContentPart,
    ) -> Result<Option<Block<'a>>, Error> {
        Ok(match part {
            ContentPart::Text { text, .. } | ContentPart::Refusal { text } => {
                (!is_blank(text)).then_some(Block::Text(text))
            }
            // Models with signatures refuse reasoning without one, and others ignore it.
            ContentPart::Reasoning { text, signature } => {
                signature
                    .as_deref()
                    .map(|signature| Block::ReasoningContent {
                        reasoning_text: ReasoningText { text, signature },
                    })
            }
            ContentPart::ToolCall(call) if role == ASSISTANT => {
                self.has_tools = true;
                Some(tool_use(number, call)?)
            }
            ContentPart::ToolCall(_) => {
                return Err(refuse(
                    number,
                    "has a tool call, but is not an assistant message",
                ));
            }
            ContentPart::ToolResult(result) if role == USER => {
                self.has_tools = true;
                Some(self.tool_result(number, result)?)
            }
            ContentPart::ToolResult(_) => {
                return Err(refuse(
                    number,
                    "is an assistant message, but has a tool result",
                ));
            }
            ContentPart::ProviderBlock(own) if own.provider == BLOCK_PROVIDER => {
                let block = Block::Raw(&own.block);
                self.has_tools |= block.is_raw("toolUse") || block.is_raw("toolResult");
                Some(block)
            }
            ContentPart::ProviderBlock(_) => None,
            _ if role == ASSISTANT => {
                return Err(refuse(
                    number,
                    "is an assistant message, but has content other than text and tool calls",
                ));
            }
            media => Some(self.media(number, media)?),
        })
    }

    fn media(&mut self, number: usize, part: &'a ContentPart) -> Result<Block<'a>, Error> {
        Ok(match part {
            ContentPart::Image { media, detail } => {
                if let Some(detail) = detail.as_ref().filter(|d| d.as_str() != "auto") {
                    self.omissions.refuse_value("detail", detail)?;
                }
                let (format, source) = content::read_media(Kind::Image, media)?;
                Block::Image { format, source }
            }
            ContentPart::Video { media } => {
                let (format, source) = content::read_media(Kind::Video, media)?;
                Block::Video { format, source }
            }
            ContentPart::Audio { media } => {
                let (format, source) = content::read_media(Kind::Audio, media)?;
                Block::Audio { format, source }
            }
            ContentPart::Document { media, name } => {
                let (format, source) = content::read_media(Kind::Document, media)?;
                let sent = self.names.add(name.as_deref());
                if let Some(name) = name.as_deref().filter(|name| *name != sent) {
                    self.warn(
                        "document_renamed",
                        format!(
                            "Bedrock does not accept the document name `{}` here; it was sent as `{sent}`",
                            name.escape_debug()
                        ),
                    );
                }
                Block::Document {
                    format,
                    name: sent,
                    source,
                }
            }
            _ => {
                return Err(refuse(
                    number,
                    "has a part that Bedrock does not accept here",
                ));
            }
        })
    }

    fn tool_result(&mut self, number: usize, result: &'a ToolResult) -> Result<Block<'a>, Error> {
        let mut content = Vec::with_capacity(result.content.len());
        for part in &result.content {
            match part {
                ContentPart::Text { text, .. } if is_blank(text) => {}
                ContentPart::Text { text, .. } => content.push(Block::Text(text)),
                ContentPart::ProviderBlock(own) if own.provider == BLOCK_PROVIDER => {
                    content.push(Block::Raw(&own.block));
                }
                ContentPart::ProviderBlock(_) => {}
                ContentPart::Audio { .. } => {
                    return Err(refuse(number, "has audio in a tool result"));
                }
                media => content.push(self.media(number, media)?),
            }
        }
        if content.is_empty() {
            content.push(Block::Text(NO_OUTPUT));
        }
        Ok(Block::ToolResult {
            tool_use_id: &result.call_id,
            content,
            status: result.is_error.then_some("error"),
        })
    }

    /// Converts each turn to the form that the models require. Claude refuses a turn that ends with reasoning, as in
    /// a response that the token limit cut there.
    fn end_turns(&mut self) {
        for mut turn in std::mem::take(&mut self.turns) {
            if turn.role == ASSISTANT && drop_trailing_reasoning(&mut turn.content) {
                self.warn(
                    "reasoning_left_out",
                    "reasoning without a following text or tool call was not sent, because Bedrock refuses a turn that ends with reasoning"
                        .to_owned(),
                );
                if turn.content.is_empty() {
                    continue;
                }
            }
            self.push(turn);
        }
        for turn in &mut self.turns {
            results_first(turn);
        }
        // Models that continue a last assistant turn refuse white space at its end.
        let last = self.turns.last_mut().filter(|turn| turn.role == ASSISTANT);
        if let Some(Block::Text(text)) = last.and_then(|turn| turn.content.last_mut()) {
            *text = trim_end(text);
        }
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::new(ErrorKind::InvalidRequest, what));
        match self.turns.first() {
            None => {
                return refuse(
                    "Bedrock requires a user message in addition to system messages".to_owned(),
                );
            }
            Some(turn) if turn.role == ASSISTANT => {
                return refuse(
                    "Bedrock requires the conversation to begin with a user message, not an assistant message"
                        .to_owned(),
                );
            }
            Some(_) => {}
        }
        let mut calls: Vec<&str> = Vec::new();
        let mut has_own_calls = false;
        for turn in &self.turns {
            let answers: Vec<String> = turn.content.iter().filter_map(Block::answers).collect();
            if turn.role == USER {
                let missing = calls.iter().find(|id| !answers.iter().any(|a| a == **id));
                if let Some(id) = missing {
                    return refuse(format!(
                        "tool call `{}` has no result in the next turn, where Bedrock requires it",
                        id.escape_debug()
                    ));
                }
                let strange = answers.iter().find(|id| !calls.contains(&id.as_str()));
                if let Some(id) = strange.filter(|_| !has_own_calls) {
                    return refuse(format!(
                        "there is a tool result for `{}`, but no such call in the previous turn",
                        id.escape_debug()
                    ));
                }
                if lacks_text(turn) {
                    return refuse(
                        "Bedrock requires a text next to a document: add one that says what to do with it"
                            .to_owned(),
                    );
                }
            }
            has_own_calls = turn.content.iter().any(|block| block.is_raw("toolUse"));
            calls.clear();
            calls.extend(turn.content.iter().filter_map(|block| match block {
                Block::ToolUse { tool_use_id, .. } => Some(*tool_use_id),
                _ => None,
            }));
        }
        match calls.first() {
            Some(id) => refuse(format!(
                "the conversation ends with tool call `{}`, whose result is missing",
                id.escape_debug()
            )),
            None => Ok(()),
        }
    }

    fn warn(&mut self, code: &'static str, message: String) {
        self.omissions.warn(code, message);
    }
}

fn tool_use(number: usize, call: &ToolCall) -> Result<Block<'_>, Error> {
    let input = match call.has_valid_arguments() {
        true => serde_json::from_str(call.arguments_json()).ok(),
        false => None,
    };
    let Some(input) = input else {
        return Err(refuse(
            number,
            &format!(
                "has arguments of tool call `{}` ({}) that are not a JSON object, which Bedrock requires",
                call.id.escape_debug(),
                call.name.escape_debug()
            ),
        ));
    };
    Ok(Block::ToolUse {
        tool_use_id: &call.id,
        name: &call.name,
        input,
    })
}

/// Removes reasoning at the end of a turn. Returns whether there was any.
fn drop_trailing_reasoning(content: &mut Vec<Block<'_>>) -> bool {
    let is_reasoning = |block: &Block<'_>| {
        matches!(block, Block::ReasoningContent { .. }) || block.is_raw("reasoningContent")
    };
    let kept = content.iter().rposition(|block| !is_reasoning(block));
    let kept = kept.map_or(0, |at| at.saturating_add(1));
    let found = kept < content.len();
    content.truncate(kept);
    found
}

/// Results precede all other content of their turn; cache points stay after the content that they mark.
fn results_first(turn: &mut Turn<'_>) {
    if turn.role != USER {
        return;
    }
    let mut after_result = false;
    let mut rest = Vec::new();
    let mut sorted = Vec::with_capacity(turn.content.len());
    for block in std::mem::take(&mut turn.content) {
        let marks = block.is_raw("cachePoint");
        after_result = block.answers().is_some() || (marks && after_result);
        match after_result {
            true => sorted.push(block),
            false => rest.push(block),
        }
    }
    sorted.append(&mut rest);
    turn.content = sorted;
}

fn lacks_text(turn: &Turn<'_>) -> bool {
    let is_document = |b: &Block<'_>| matches!(b, Block::Document { .. }) || b.is_raw("document");
    let is_text =
        |b: &Block<'_>| matches!(b, Block::Text(_)) || b.is_raw("text") || b.is_raw("guardContent");
    turn.content.iter().any(is_document) && !turn.content.iter().any(is_text)
}

/// Messages are counted from 0, as in `messages[0]`.
fn refuse(number: usize, what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!("`messages[{number}]` {what}"),
    )
}

// Content blocks of a request.

/// A block of a message. A union is an object with one field, which is how `serde` writes an enum.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Block<'a> {
    Text(&'a str),
    Image {
        format: &'static str,
        source: Source<'a>,
    },
    Document {
        format: &'static str,
        name: String,
        source: Source<'a>,
    },
    Video {
        format: &'static str,
        source: Source<'a>,
    },
    Audio {
        format: &'static str,
        source: Source<'a>,
    },
    ToolUse {
        tool_use_id: &'a str,
        name: &'a str,
        input: &'a RawValue,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: Vec<Block<'a>>,
        /// Some models accept no status of success, only a missing one, which means success.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
    ReasoningContent {
        reasoning_text: ReasoningText<'a>,
    },
    /// In Bedrock's own JSON.
    #[serde(untagged)]
    Raw(&'a Json),
}

#[derive(Debug, Serialize)]
pub(super) struct ReasoningText<'a> {
    pub(super) text: &'a str,
    pub(super) signature: &'a str,
}

impl Block<'_> {
    /// The id of the call of a tool result, also of one in Bedrock's own JSON.
    pub(super) fn answers(&self) -> Option<String> {
        match self {
            Block::ToolResult { tool_use_id, .. } => Some((*tool_use_id).to_owned()),
            Block::Raw(json) => {
                #[derive(serde::Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct ProviderToolResult {
                    tool_result: Result,
                }
                #[derive(serde::Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct Result {
                    tool_use_id: String,
                }
                serde_json::from_str::<ProviderToolResult>(json.as_str())
                    .ok()
                    .map(|own| own.tool_result.tool_use_id)
            }
            _ => None,
        }
    }

    /// Whether this is a block in Bedrock's own JSON with this field.
    pub(super) fn is_raw(&self, member: &str) -> bool {
        let Block::Raw(json) = self else { return false };
        let members: Option<std::collections::BTreeMap<&str, &RawValue>> =
            serde_json::from_str(json.as_str()).ok();
        members.is_some_and(|members| members.contains_key(member))
    }
}
