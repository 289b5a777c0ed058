//! A hosted web search: the response to a prompt with `search` in it, if the request offers the tool.

use serde_json::{Value, json};

use super::{list, text_of};

/// A search that the provider ran.
pub(super) struct Search {
    pub(super) query: String,
}

/// The only page that a search finds.
const URL: &str = "https://loopback.example/page";
const TITLE: &str = "A page of the loopback";
const CITED: &str = "Everything runs on your own machine.";

/// The search that the provider runs for this request.
pub(super) fn search(body: &Value, prompt: &str) -> Option<Search> {
    let is_search = |tool: &Value| text_of(tool, "type").starts_with("web_search");
    let is_offered = list(body, "tools").iter().any(is_search);
    (is_offered && prompt.to_lowercase().contains("search")).then(|| Search {
        query: prompt.to_owned(),
    })
}

/// Whether the program runs a tool of Anthropic's `tools`.
pub(super) fn is_function(tool: &Value) -> bool {
    matches!(text_of(tool, "type"), "" | "custom")
}

impl Search {
    /// Anthropic's blocks, each with its deltas.
    pub(super) fn blocks(&self, id: &str) -> [(Value, Vec<Value>); 2] {
        let id = format!("srvtoolu_01{id}");
        let input = json!({"query": self.query}).to_string();
        let input = json!({"type": "input_json_delta", "partial_json": input});
        let page = json!({
            "type": "web_search_result", "url": URL, "title": TITLE, "page_age": null, "encrypted_content": "bG9vcGJhY2s=",
        });
        [
            (
                json!({"type": "server_tool_use", "id": id, "name": "web_search", "input": {}}),
                vec![input],
            ),
            (
                json!({"type": "web_search_tool_result", "tool_use_id": id, "content": [page]}),
                Vec::new(),
            ),
        ]
    }

    /// Anthropic's source of a text.
    pub(super) fn location() -> Value {
        json!({
            "type": "web_search_result_location", "url": URL, "title": TITLE, "cited_text": CITED,
            "encrypted_index": "bG9vcGJhY2s=",
        })
    }

    /// The item of the Responses API; its action is known only at the end.
    pub(super) fn item(&self, id: &str, is_done: bool) -> Value {
        let id = format!("ws_{id}");
        if !is_done {
            return json!({"id": id, "type": "web_search_call", "status": "in_progress"});
        }
        let action = json!({"type": "search", "query": self.query, "sources": [{"type": "url", "url": URL}]});
        json!({"id": id, "type": "web_search_call", "status": "completed", "action": action})
    }

    /// The source of a text in the Responses API.
    pub(super) fn annotation(text: &str) -> Value {
        json!({"type": "url_citation", "url": URL, "title": TITLE, "start_index": 0, "end_index": text.chars().count()})
    }
}
