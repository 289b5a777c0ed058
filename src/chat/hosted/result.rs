use crate::{Json, Media, chat::ProviderBlock};
use serde::{Deserialize, Serialize};

/// The result of a hosted tool call. The model read it before it continued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostedToolResult {
    /// The [`HostedToolCall::id`](super::HostedToolCall::id) of the call; empty if the provider sends none. The result
    /// then belongs to the call before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call_id: String,
    /// The result.
    pub output: HostedToolOutput,
    /// The result in the provider's own JSON. `None` if it is part of the call's block, or if the API has no block for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<ProviderBlock>,
}

/// The output of a hosted tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tool", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostedToolOutput {
    /// The pages that a search of the web found.
    WebSearch {
        /// The pages, in the provider's order.
        results: Vec<SearchResult>,
    },
    /// Fetched web pages.
    WebFetch {
        /// The pages.
        pages: Vec<FetchedPage>,
    },
    /// The output of code.
    CodeExecution(CodeOutput),
    /// Passages of uploaded files.
    FileSearch {
        /// The passages, in the provider's order.
        passages: Vec<FilePassage>,
    },
    /// The result of a tool of an MCP server.
    Mcp {
        /// Its text.
        text: String,
        /// Whether the tool failed; the text then describes the failure.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
    /// The tools of an MCP server.
    McpTools {
        /// Their names.
        names: Vec<String>,
    },
    /// The functions that a tool search found.
    ToolSearch {
        /// Their names.
        names: Vec<String>,
    },
    /// Generated images.
    Images {
        /// The images.
        images: Vec<Media>,
    },
    /// The text of another tool.
    Text {
        /// The text.
        text: String,
    },
    /// The tool failed. The response is no error: the model read the failure and continued.
    Error(HostedToolError),
    /// The output of another tool.
    Other {
        /// The output in the provider's own JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Json>,
    },
}

/// A page that a search of the web found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchResult {
    /// Its URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A passage of it, if the provider shows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
    /// Its date or age, in the provider's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// A fetched web page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FetchedPage {
    /// Its URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its text, if the provider shows it and it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The MIME type of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The time of the fetch (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieved_at: Option<String>,
    /// The provider's code if the page could not be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The output of code that the provider ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CodeOutput {
    /// Its standard output, or its logs where the provider does not tell the streams apart. Empty if it is encrypted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Its standard error output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// The files that it wrote, by their ids at the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The URLs of the images that it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// A passage of an uploaded file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FilePassage {
    /// The provider's id or URI of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    /// The file's name or title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The passage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The relevance, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// The failure of a hosted tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostedToolError {
    /// The provider's code, such as `max_uses_exceeded`; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The provider's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl HostedToolResult {
    pub(crate) fn new(call_id: impl Into<String>, output: HostedToolOutput) -> Self {
        HostedToolResult {
            call_id: call_id.into(),
            output,
            raw: None,
        }
    }

    /// Whether the tool failed.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(
            self.output,
            HostedToolOutput::Error(_) | HostedToolOutput::Mcp { is_error: true, .. }
        )
    }

    /// The bytes that it keeps, without those of `raw`.
    pub(crate) fn typed_bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let all = |lengths: &[usize], own: usize| {
            lengths.iter().copied().fold(own, usize::saturating_add)
        };
        let list = |texts: &[String]| {
            let own = texts.len().saturating_mul(size_of::<String>());
            texts
                .iter()
                .map(String::len)
                .fold(own, usize::saturating_add)
        };
        let output = match &self.output {
            HostedToolOutput::WebSearch { results } => results
                .iter()
                .map(|page| {
                    let texts = [&page.url, &page.title, &page.snippet, &page.date].map(text);
                    all(&texts, size_of::<SearchResult>())
                })
                .fold(0, usize::saturating_add),
            HostedToolOutput::WebFetch { pages } => pages
                .iter()
                .map(|page| {
                    let texts = [&page.url, &page.title, &page.text, &page.mime_type].map(text);
                    all(&texts, size_of::<FetchedPage>())
                })
                .fold(0, usize::saturating_add),
            HostedToolOutput::CodeExecution(output) => all(
                &[
                    output.stdout.len(),
                    output.stderr.len(),
                    list(&output.files),
                    list(&output.images),
                ],
                0,
            ),
            HostedToolOutput::FileSearch { passages } => passages
                .iter()
                .map(|passage| {
                    let texts = [&passage.file_id, &passage.name, &passage.text].map(text);
                    all(&texts, size_of::<FilePassage>())
                })
                .fold(0, usize::saturating_add),
            HostedToolOutput::Mcp { text, .. } | HostedToolOutput::Text { text } => text.len(),
            HostedToolOutput::McpTools { names } | HostedToolOutput::ToolSearch { names } => {
                list(names)
            }
            HostedToolOutput::Images { images } => images
                .iter()
                .map(|image| match image {
                    Media::Inline { data, .. } => data.len(),
                    Media::Url { url, .. } => url.len(),
                    Media::File { id } => id.len(),
                })
                .fold(0, usize::saturating_add),
            HostedToolOutput::Error(error) => error.code.len().saturating_add(text(&error.message)),
            HostedToolOutput::Other { output } => {
                output.as_ref().map_or(0, |json| json.as_str().len())
            }
        };
        all(&[self.call_id.len(), output], size_of::<Self>())
    }
}
