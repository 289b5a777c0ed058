//! Encodes the conversation as `systemInstruction` and `contents`.

use super::{
    BLOCK_PROVIDER,
    encoded_part::{
        Blob, EncodedPart, FileData, FunctionCall, FunctionResponse, PartContent, SIGNATURE,
    },
};
use crate::{
    ChatRequest, ContentPart, Error, Json, Media, Message, Role, ToolCall, ToolResult,
    chat::ProviderBlock,
    provider::kit::{
        json_object::JsonObject,
        request::{HistorySupport, UnsupportedParams, data_url},
    },
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Gemini 3 refuses a turn without signatures. It accepts this placeholder for the signature of a call of another
/// model. Source: Google's guide to thought signatures.
const UNSIGNED_CALL_SIGNATURE: &str = r#"{"thoughtSignature":"skip_thought_signature_validator"}"#;

/// The fields of a separate part; a provider block without any of them adds to the part before it.
const DATA: [&str; 9] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

/// Generations of models with API differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Generation {
    /// Before 3: results belong to calls by position, and contain no media.
    Earlier,
    /// From 3 on: a call needs a signature.
    Third,
}

impl Generation {
    /// The generation of a model by its name, as Google lists them. A name without a version is an alias of the
    /// newest model (`gemini-flash-latest`), except for the old names without versions.
    pub(in crate::provider) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let version = name.split('-').find_map(|word| {
            let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
            let is_number = |text: &str| text.parse::<u8>().is_ok();
            let is_version = is_number(major) && is_number(minor) && !major.starts_with('0');
            is_version.then(|| major.parse::<u8>().ok())?
        });
        let is_unversioned = [
            "gemini-pro",
            "gemini-pro-vision",
            "gemini-ultra",
            "gemini-exp-1114",
            "gemini-exp-1121",
            "gemini-exp-1206",
        ];
        match version {
            Some(version) if version < 3 => Generation::Earlier,
            None if is_unversioned.contains(&name) => Generation::Earlier,
            _ => Generation::Third,
        }
    }
}

/// The conversation in the API's format.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<EncodedPart<'a>>,
    pub(super) contents: Vec<Content<'a>>,
    /// A model turn was dropped, so that the turns around it have the same role.
    is_gap: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Content<'a> {
    role: &'static str,
    parts: Vec<EncodedPart<'a>>,
}

/// Encodes the parts of messages.
pub(super) struct Translator<'t, 'a> {
    pub(super) omissions: &'t mut UnsupportedParams<'a>,
    pub(super) base_url: &'a str,
    pub(super) generation: Generation,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        request: &'a ChatRequest,
        translator: &mut Translator<'_, 'a>,
    ) -> Result<Self, Error> {
        let mut conversation = Conversation::default();
        let mut rounds = ToolRounds::default();
        let takes = HistorySupport {
            block_providers: &[BLOCK_PROVIDER],
            signatures: false,
            errors: true,
        };
        translator.omissions.history(&request.messages, takes);
        for message in &request.messages {
            conversation.add(message, &mut rounds, translator)?;
        }
        conversation.end_round(&mut rounds);
        Ok(conversation)
    }

    fn add(
        &mut self,
        message: &'a Message,
        rounds: &mut ToolRounds<'a>,
        translator: &mut Translator<'_, 'a>,
    ) -> Result<(), Error> {
        if message.name.is_some() {
            translator.omissions.refuse("the `name` of a message")?;
        }
        let role = match message.role {
            Role::System | Role::Developer => {
                if !self.contents.is_empty() {
                    translator.omissions.warn(
                        "system_moved",
                        "system messages in the middle of the conversation were moved to its beginning",
                    );
                }
                return translator.parts(&message.content, rounds, &mut self.system);
            }
            Role::Assistant => "model",
            Role::User | Role::Tool | Role::Other(_) => "user",
        };
        if role == "model" {
            self.end_round(rounds);
        }
        let mut parts = Vec::with_capacity(message.content.len());
        translator.parts(&message.content, rounds, &mut parts)?;
        if role == "model" {
            if translator.generation == Generation::Third {
                sign_foreign(&mut parts);
            }
            if !parts.is_empty() && parts.iter().all(EncodedPart::is_reasoning) {
                translator.omissions.warn(
                    "reasoning_left_out",
                    "a message with only reasoning was not sent",
                );
                parts.clear();
            }
            let is_reasoning = |part: &ContentPart| matches!(part, ContentPart::Reasoning { .. });
            self.is_gap = parts.is_empty() && message.content.iter().any(is_reasoning);
        }
        // The results of a turn must be in one content: the first that has any.
        let is_place = rounds.has_new_results();
        if is_place {
            rounds.result_position(self.contents.len());
        }
        if is_place || !parts.is_empty() {
            let is_behind_gap = std::mem::take(&mut self.is_gap) && !is_place;
            match self.contents.last_mut() {
                Some(last) if is_behind_gap && last.role == role => last.parts.append(&mut parts),
                _ => self.contents.push(Content { role, parts }),
            }
        }
        Ok(())
    }

    /// Writes the results of the calls so far to their place, in the order of the calls.
    fn end_round(&mut self, rounds: &mut ToolRounds<'a>) {
        if let Some((place, results)) = rounds.end() {
            if let Some(content) = self.contents.get_mut(place) {
                content.parts.splice(..0, results);
            }
        }
    }
}

impl<'a> Translator<'_, 'a> {
    fn parts(
        &mut self,
        content: &'a [ContentPart],
        rounds: &mut ToolRounds<'a>,
        parts: &mut Vec<EncodedPart<'a>>,
    ) -> Result<(), Error> {
        // Whether the previous part was written, so that added fields apply to it.
        let mut is_written = false;
        let mut next = content.iter().skip(1);
        for part in content {
            let follower = next.next();
            let piece = match part {
                ContentPart::Text { text, .. } | ContentPart::Refusal { text } => {
                    (!text.is_empty()).then_some(PartContent::Text(text))
                }
                // Reasoning is not sent back, unless it was signed.
                ContentPart::Reasoning { text, .. } => {
                    let more = follower.and_then(added);
                    let is_signed = more.is_some_and(|more| more.get(SIGNATURE).is_some());
                    is_signed.then_some(PartContent::Thought(text))
                }
                ContentPart::ProviderBlock(block) if block.provider != BLOCK_PROVIDER => None,
                ContentPart::ProviderBlock(block) => match added(part) {
                    Some(more) => {
                        if let Some(last) = parts.last_mut().filter(|_| is_written) {
                            last.more = Some(more);
                        }
                        None
                    }
                    None => Some(PartContent::Opaque(&block.block)),
                },
                // `kit::hosted` replaced them by their blocks.
                ContentPart::HostedToolCall(_)
                | ContentPart::HostedToolResult(_)
                | ContentPart::Compaction(_) => None,
                ContentPart::ToolCall(call) => Some(self.call(call, rounds)?),
                ContentPart::ToolResult(result) => {
                    self.result(result, rounds)?;
                    None
                }
                ContentPart::Image { media, detail } => {
                    if let Some(detail) = detail.as_ref().filter(|d| d.as_str() != "auto") {
                        self.omissions.refuse_value("detail", detail)?;
                    }
                    Some(self.media(media))
                }
                ContentPart::Audio { media } | ContentPart::Video { media } => {
                    Some(self.media(media))
                }
                ContentPart::Document { media, name } => {
                    if name.is_some() {
                        self.omissions.warn(
                            "document_name_left_out",
                            "the name of a document was not sent, because the API has no field for it",
                        );
                    }
                    Some(self.media(media))
                }
            };
            is_written = piece.is_some();
            if let Some(piece) = piece {
                let more = match part {
                    ContentPart::ToolCall(call) => signature(call),
                    _ => None,
                };
                parts.push(EncodedPart { piece, more });
            }
        }
        Ok(())
    }

    fn media(&self, media: &'a Media) -> PartContent<'a> {
        match media {
            Media::Inline { mime_type, data } => PartContent::InlineData(Blob {
                mime_type,
                data: Media::base64(data).into(),
            }),
            Media::Url { url, mime_type } => match data_url(url) {
                Some((mime_type, data)) => PartContent::InlineData(Blob {
                    mime_type,
                    data: data.into(),
                }),
                None => PartContent::FileData(FileData {
                    mime_type: mime_type.as_deref(),
                    file_uri: url.into(),
                }),
            },
            Media::File { id } => PartContent::FileData(FileData {
                mime_type: None,
                file_uri: match id.strip_prefix("files/") {
                    Some(_) => [self.base_url, "/", id].concat().into(),
                    None => id.into(),
                },
            }),
        }
    }

    fn call(
        &mut self,
        call: &'a ToolCall,
        rounds: &mut ToolRounds<'a>,
    ) -> Result<PartContent<'a>, Error> {
        let id = own_data(call).and_then(|data| data.get("id").cloned());
        rounds.call(&call.id, &call.name, id.clone());
        let args = if call.has_valid_arguments() {
            Json::parse(call.arguments_json())?
        } else {
            self.omissions.warn(
                "invalid_tool_arguments",
                format!(
                    "the arguments of tool call `{}` are not a JSON object; they were sent as text inside one",
                    call.id
                ),
            );
            Json::new(&BTreeMap::from([("invalid_json", &call.arguments)]))?
        };
        let name = &call.name;
        Ok(PartContent::FunctionCall(FunctionCall { id, name, args }))
    }

    fn result(&mut self, result: &'a ToolResult, rounds: &mut ToolRounds<'a>) -> Result<(), Error> {
        let known = rounds.answer(&result.call_id);
        let name = result.name.as_deref().or(known.name);
        let Some(name) = name else {
            return Err(self.omissions.cannot_send(&format!(
                "a tool result for `{}` without a name and without its call",
                result.call_id
            )));
        };
        let mut texts = String::new();
        let mut parts = Vec::new();
        for part in &result.content {
            match part {
                ContentPart::Text { text, .. } => texts.push_str(text),
                ContentPart::Image { media, .. }
                | ContentPart::Audio { media }
                | ContentPart::Video { media }
                | ContentPart::Document { media, .. } => {
                    parts.push(EncodedPart::new(self.media(media)));
                }
                ContentPart::ProviderBlock(block) if block.provider != BLOCK_PROVIDER => {}
                _ => {
                    return Err(self.omissions.cannot_send("this part of a tool result"));
                }
            }
        }
        let mut media = Vec::new();
        if self.generation == Generation::Earlier && !parts.is_empty() {
            // These models refuse media in a result, but accept them next to the results.
            if texts.is_empty() {
                texts.push_str(MEDIA_FOLLOWS);
            }
            std::mem::swap(&mut parts, &mut media);
        }
        let response = FunctionResponse {
            id: known.wire_id,
            name,
            response: response(&texts, result.is_error)?,
            parts,
        };
        let response = EncodedPart::new(PartContent::FunctionResponse(response));
        rounds.result(known.order, response, media);
        Ok(())
    }
}

/// The text of a result whose only content is media that follow it.
const MEDIA_FOLLOWS: &str = "(the content follows the results)";

/// The API requires an object: the result itself if it is one, else under Google's field names.
fn response(text: &str, is_error: bool) -> Result<Json, Error> {
    if !is_error && JsonObject::read(text).is_some() {
        return Json::parse(text);
    }
    let name = if is_error { "error" } else { "output" };
    Json::new(&BTreeMap::from([(name, text)]))
}

/// The fields that a provider block adds to the part before it, if it is not a part itself.
fn added(part: &ContentPart) -> Option<JsonObject> {
    let ContentPart::ProviderBlock(ProviderBlock { provider, block }) = part else {
        return None;
    };
    let members = JsonObject::read(block.as_str()).filter(|_| provider == BLOCK_PROVIDER)?;
    let is_part = DATA.iter().any(|name| members.get(name).is_some());
    (!is_part).then_some(members)
}

fn own_data(call: &ToolCall) -> Option<JsonObject> {
    let data = call.provider_data.as_ref()?;
    JsonObject::read(data.data.as_str()).filter(|_| data.provider == BLOCK_PROVIDER)
}

/// The additional fields of a call's part.
fn signature(call: &ToolCall) -> Option<JsonObject> {
    let members = own_data(call)?.without(&["id"]);
    (!members.is_empty()).then_some(members)
}

fn sign_foreign(parts: &mut [EncodedPart<'_>]) {
    let is_signed = |part: &EncodedPart<'_>| {
        let more = part.more.as_ref();
        more.is_some_and(|more| more.get(SIGNATURE).is_some())
    };
    let is_call = |part: &EncodedPart<'_>| matches!(part.piece, PartContent::FunctionCall(_));
    if parts.iter().any(|part| is_call(part) && is_signed(part)) {
        return;
    }
    if let Some(first) = parts.iter_mut().find(|part| is_call(part)) {
        let more = first.more.get_or_insert_default();
        for (name, value) in JsonObject::read(UNSIGNED_CALL_SIGNATURE)
            .iter()
            .flat_map(JsonObject::iter)
        {
            more.set(name, value.clone());
        }
    }
}

// Calls and their results, turn by turn. If the API has no ids, a result belongs to its call by position.

/// The calls of the conversation, and the results of the current turn.
#[derive(Debug, Default)]
pub(super) struct ToolRounds<'a> {
    calls: Vec<Call<'a>>,
    /// The index of the first call of the current turn.
    first: usize,
    results: Vec<ToolResponse<'a>>,
    /// The content that gets the results.
    result_position: Option<usize>,
}

#[derive(Debug)]
struct Call<'a> {
    id: &'a str,
    name: &'a str,
    wire_id: Option<Json>,
    is_answered: bool,
}

#[derive(Debug)]
struct ToolResponse<'a> {
    order: usize,
    response: EncodedPart<'a>,
    /// Parts after all results of the turn.
    media: Vec<EncodedPart<'a>>,
}

/// The call of a result.
#[derive(Debug)]
pub(super) struct ResolvedCall<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) wire_id: Option<Json>,
    /// The call's position among all calls.
    pub(super) order: usize,
}

impl<'a> ToolRounds<'a> {
    pub(super) fn call(&mut self, id: &'a str, name: &'a str, wire_id: Option<Json>) {
        self.calls.push(Call {
            id,
            name,
            wire_id,
            is_answered: false,
        });
    }

    /// The call of a result with this id: in the current turn the first without a result, else the last with the id.
    pub(super) fn answer(&mut self, id: &str) -> ResolvedCall<'a> {
        let is_open = |call: &Call<'_>| call.id == id && !call.is_answered;
        let current = self.calls.get(self.first..).unwrap_or_default();
        let at = current.iter().position(is_open);
        let at = at.map(|at| at.saturating_add(self.first));
        let at = at.or_else(|| self.calls.iter().rposition(|call| call.id == id));
        match at.and_then(|at| Some((at, self.calls.get_mut(at)?))) {
            Some((order, call)) => {
                call.is_answered = true;
                ResolvedCall {
                    name: Some(call.name),
                    wire_id: call.wire_id.clone(),
                    order,
                }
            }
            None => ResolvedCall {
                name: None,
                wire_id: None,
                order: usize::MAX,
            },
        }
    }

    pub(super) fn result(
        &mut self,
        order: usize,
        response: EncodedPart<'a>,
        media: Vec<EncodedPart<'a>>,
    ) {
        self.results.push(ToolResponse {
            order,
            response,
            media,
        });
    }

    /// Whether the current message has results and the turn has no content for them.
    pub(super) fn has_new_results(&self) -> bool {
        self.result_position.is_none() && !self.results.is_empty()
    }

    pub(super) fn result_position(&mut self, place: usize) {
        self.result_position = Some(place);
    }

    /// Ends the turn. Returns its results in the order of their calls, the media after them, and the content for
    /// them.
    pub(super) fn end(&mut self) -> Option<(usize, Vec<EncodedPart<'a>>)> {
        let place = self.result_position.take()?;
        self.first = self.calls.len();
        let mut results = std::mem::take(&mut self.results);
        results.sort_by_key(|result| result.order);
        let mut parts = Vec::with_capacity(results.len());
        let mut media = Vec::new();
        for mut result in results {
            parts.push(result.response);
            media.append(&mut result.media);
        }
        parts.append(&mut media);
        Some((place, parts))
    }
}
