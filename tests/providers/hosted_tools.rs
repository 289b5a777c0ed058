//! Hosted tools at each API: in the body, or refused by name before anything is sent.

use super::{encode, function, wires};
use serde_json::{Value, json};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, Message, Role, Tool, ToolChoice,
    chat::{HostedTool, UserLocation},
    provider::{
        Anthropic, Gemini, OpenAiChat, OpenAiResponses, Provider, openai_chat, openai_responses,
    },
};

/// The path of the tool in the body; `-`: refused by name.
const TABLE: &str = "
tool | cerebras | openai | anthropic | gemini | responses | cohere | ollama | bedrock | interactions
web_search | - | web_search_options | tools.0.max_uses | tools.0.googleSearch | tools.0.type | - | - | toolConfig.tools.0.systemTool.name | tools.0.type
web_fetch | - | - | tools.0.type | tools.0.urlContext | - | - | - | - | tools.0.type
code_execution | - | - | tools.0.type | tools.0.codeExecution | tools.0.container | - | - | toolConfig.tools.0.systemTool.name | tools.0.type
file_search | - | - | - | tools.0.fileSearch.fileSearchStoreNames | tools.0.vector_store_ids | - | - | - | tools.0.file_search_store_names
mcp | - | - | mcp_servers.0.url | - | tools.0.server_url | - | - | - | tools.0.url
tool_search | - | - | tools.0.type | - | tools.0.type | - | - | - | -
image_generation | - | - | - | - | tools.0.type | - | - | - | -
";

fn tool(kind: &str, wire: &str) -> HostedTool {
    match kind {
        "web_search" if wire == "anthropic" => Tool::web_search().max_uses(3),
        "web_search" => Tool::web_search(),
        "web_fetch" => Tool::web_fetch(),
        "code_execution" => Tool::code_execution(),
        "file_search" => Tool::file_search(["vs_1"]),
        "mcp" => Tool::mcp("docs", "https://mcp.test/sse"),
        "tool_search" => Tool::tool_search(["f"]),
        "image_generation" => Tool::image_generation(),
        other => panic!("no tool for the row `{other}`"),
    }
}

fn asked(tool: HostedTool) -> ChatRequest {
    ChatRequest::new("some-model")
        .user("hi")
        .tool(tool)
        .tool(function("f"))
}

#[test]
fn each_hosted_tool_is_sent_or_refused_by_name() {
    let wires = wires();
    for line in TABLE.trim().lines().skip(1) {
        let cells: Vec<&str> = line.split(" | ").collect();
        for (wire, expected) in wires.iter().zip(&cells[1..]) {
            let kind = cells[0];
            let place = format!("{kind} at {}", wire.name());
            let tool = tool(kind, wire.name());
            let alone = ChatRequest::new("some-model").user("hi").tool(tool.clone());
            let alone = if kind == "tool_search" {
                asked(tool.clone())
            } else {
                alone
            };
            match (encode(&**wire, &alone), *expected) {
                (Err(error), "-") => {
                    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
                    let named = format!("the hosted tool `{kind}`");
                    assert!(error.message().contains(&named), "{place}: {error}");
                    let (body, warnings) = encode(&**wire, &alone.drop_unsupported()).unwrap();
                    assert!(
                        warnings.iter().any(|w| w.message.contains(&named)),
                        "{place}"
                    );
                    assert!(!body.to_string().contains("mcp.test"), "{place}: {body}");
                }
                (Ok((body, warnings)), path) => {
                    assert!(path != "-" && warnings.is_empty(), "{place}: {body}");
                    let pointer = ["/", &path.replace('.', "/")].concat();
                    assert!(body.pointer(&pointer).is_some(), "{place}: {body}");
                }
                (Err(error), _) => panic!("{place}: {error}"),
            }
        }
    }
}

#[test]
fn settings_are_written_where_the_api_has_them_and_refused_by_name_elsewhere() {
    let anthropic = Anthropic::new("k").unwrap();
    let openai = OpenAiResponses::new("k").unwrap();
    let xai = OpenAiResponses::xai("k").unwrap();
    let chat = OpenAiChat::new("k").unwrap();
    let perplexity = OpenAiChat::perplexity("k").unwrap();
    let router = OpenAiChat::openrouter("k").unwrap();
    let place = UserLocation::country("PT").city("Lisbon");
    let sent = |wire: &dyn Provider, tool: HostedTool| {
        let request = ChatRequest::new("m").user("hi").tool(tool);
        encode(wire, &request).map(|(body, _)| body)
    };
    let search = || Tool::web_search().user_location(place.clone());
    let location = json!({"type": "approximate", "city": "Lisbon", "country": "PT"});
    let body = sent(&anthropic, search().blocked_domains(["a.example"])).unwrap();
    assert_eq!(
        body["tools"][0],
        json!({"type": "web_search_20250305", "name": "web_search", "user_location": location, "blocked_domains": ["a.example"]})
    );
    let body = sent(&openai, search().allowed_domains(["a.example"])).unwrap();
    assert_eq!(
        body["tools"][0],
        json!({"type": "web_search", "user_location": location, "filters": {"allowed_domains": ["a.example"]}})
    );
    assert_eq!(body["include"], json!(["web_search_call.action.sources"]));
    let body = sent(&chat, search().search_context_size("low")).unwrap();
    assert_eq!(
        body["web_search_options"],
        json!({"user_location": {"type": "approximate", "approximate": {"city": "Lisbon", "country": "PT"}}, "search_context_size": "low"})
    );
    let body = sent(
        &perplexity,
        Tool::web_search().allowed_domains(["a.example"]),
    )
    .unwrap();
    assert_eq!(body["search_domain_filter"], json!(["a.example"]));
    let body = sent(&router, Tool::web_search().max_uses(2)).unwrap();
    assert_eq!(body["tools"][0]["parameters"]["max_uses"], 2);
    let body = sent(&openai, Tool::code_execution().files(["file_1"])).unwrap();
    assert_eq!(
        body["tools"][0]["container"],
        json!({"type": "auto", "file_ids": ["file_1"]})
    );
    let body = sent(&anthropic, Tool::code_execution().container("container_1")).unwrap();
    assert_eq!(body["container"], "container_1");
    let refused: [(&dyn Provider, HostedTool, &str); 4] = [
        (&openai, Tool::web_search().max_uses(3), "max_uses"),
        (&xai, search(), "user_location"),
        (&anthropic, Tool::code_execution().files(["f"]), "files"),
        (
            &anthropic,
            Tool::mcp("a", "https://a.test").require_approval(true),
            "require_approval",
        ),
    ];
    for (wire, tool, setting) in refused {
        let error = sent(wire, tool).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        let named = format!("the setting `{setting}` of the hosted tool `");
        assert!(error.message().contains(&named), "{error}");
    }
}

#[test]
fn options_of_one_provider_are_merged_there_and_ignored_elsewhere() {
    let tool = Tool::web_search()
        .provider_options(
            "anthropic",
            &json!({"type": "web_search_20260209", "max_uses": null}),
        )
        .unwrap();
    let request = ChatRequest::new("m").user("hi").tool(tool);
    let (body, _) = encode(&Anthropic::new("k").unwrap(), &request).unwrap();
    assert_eq!(
        body["tools"][0],
        json!({"type": "web_search_20260209", "name": "web_search", "max_uses": null})
    );
    let (body, _) = encode(&Gemini::new("k").unwrap(), &request).unwrap();
    assert_eq!(body["tools"][0], json!({"googleSearch": {}}));
    let wrong = Tool::web_search().provider_options("gemini", &1).unwrap();
    let request = ChatRequest::new("m").user("hi").tool(wrong);
    let error = encode(&Gemini::new("k").unwrap(), &request).unwrap_err();
    assert!(error.message().contains("`provider_options`"), "{error}");
}

#[test]
fn an_mcp_server_gets_its_token_and_nothing_shows_it() {
    const TOKEN: &str = "mcp-canary-1618033988";
    let server = || {
        Tool::mcp("docs", "https://mcp.test")
            .allowed_tools(["read"])
            .authorization(TOKEN)
            .unwrap()
    };
    let request = ChatRequest::new("m")
        .user("hi")
        .tool(server())
        .tool(Tool::mcp("more", "https://more.test"));
    let anthropic = Anthropic::builder()
        .api_key("k")
        .unwrap()
        .beta("other-beta")
        .build()
        .unwrap();
    let encoded = anthropic.encode_chat(&request).unwrap();
    assert_eq!(
        encoded.request.headers()["anthropic-beta"],
        "other-beta,mcp-client-2025-11-20"
    );
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    assert_eq!(
        body["mcp_servers"],
        json!([
            {"type": "url", "url": "https://mcp.test", "name": "docs", "authorization_token": TOKEN},
            {"type": "url", "url": "https://more.test", "name": "more"},
        ])
    );
    assert_eq!(
        body["tools"][0],
        json!({"type": "mcp_toolset", "mcp_server_name": "docs", "default_config": {"enabled": false}, "configs": {"read": {"enabled": true}}})
    );
    let request = ChatRequest::new("m")
        .user("hi")
        .tool(server().require_approval(true));
    let (body, _) = encode(&OpenAiResponses::new("k").unwrap(), &request).unwrap();
    assert_eq!(
        body["tools"][0],
        json!({"type": "mcp", "server_label": "docs", "server_url": "https://mcp.test", "allowed_tools": ["read"], "require_approval": "always", "authorization": TOKEN})
    );
    assert!(!format!("{request:?} {request:#?}").contains(TOKEN));
}

#[test]
fn deferred_functions_and_the_choice_of_a_hosted_tool_have_the_api_s_form() {
    let request = asked(Tool::tool_search(["f"]))
        .tool(function("g"))
        .tool(Tool::web_search())
        .tool_choice(ToolChoice::Function("tool_search".into()));
    request.validate().unwrap();
    let (body, _) = encode(&Anthropic::new("k").unwrap(), &request).unwrap();
    assert_eq!(body["tools"][1]["defer_loading"], true);
    assert!(body["tools"][2].get("defer_loading").is_none());
    assert_eq!(body["tool_choice"]["name"], "tool_search_tool_regex");
    let (body, _) = encode(&OpenAiResponses::new("k").unwrap(), &request).unwrap();
    assert_eq!(body["tools"][1]["defer_loading"], true);
    assert_eq!(body["tool_choice"], json!({"type": "tool_search"}));
    let unknown = ChatRequest::new("m")
        .user("hi")
        .tool(Tool::tool_search(["gone"]));
    let error = unknown.validate().unwrap_err();
    assert!(error.message().contains("`gone`"), "{error}");
}

#[test]
fn gemini_takes_functions_and_hosted_tools_together() {
    let request = |model| {
        ChatRequest::new(model)
            .user("hi")
            .tool(function("f"))
            .tool(Tool::web_search())
            .tool_choice(ToolChoice::Auto)
    };
    let gemini = Gemini::new("k").unwrap();
    let (body, _) = encode(&gemini, &request("gemini-3-pro")).unwrap();
    assert_eq!(
        body["toolConfig"],
        json!({"functionCallingConfig": {"mode": "VALIDATED"}, "includeServerSideToolInvocations": true})
    );
    let (body, _) = encode(&gemini, &request("gemini-2.5-pro")).unwrap();
    assert_eq!(
        body["toolConfig"],
        json!({"functionCallingConfig": {"mode": "AUTO"}})
    );
}

#[test]
fn profiles_name_the_tools_of_their_servers() {
    let search = ChatRequest::new("m").user("hi").tool(Tool::web_search());
    let body = |profile: &str| {
        let profile = openai_chat::profiles::by_name(profile).unwrap();
        let provider = OpenAiChat::builder().profile(profile).api_key("k").unwrap();
        encode(&provider.build().unwrap(), &search).map(|(body, _)| body)
    };
    assert_eq!(
        body("groq").unwrap()["tools"][0],
        json!({"type": "browser_search"})
    );
    assert_eq!(body("alibaba").unwrap()["enable_search"], true);
    assert_eq!(
        body("zai").unwrap()["tools"][0]["web_search"]["enable"],
        true
    );
    for refusing in ["mistral", "xai", "deepseek"] {
        let error = body(refusing).unwrap_err();
        assert!(
            error.message().contains("the hosted tool `web_search`"),
            "{error}"
        );
    }
    for profile in openai_responses::ResponsesProfile::ALL {
        for mapping in profile.hosted_tools {
            let definition: Value = serde_json::from_str(mapping.definition).unwrap();
            assert!(
                definition["type"].is_string(),
                "{}: {mapping:?}",
                profile.name
            );
        }
    }
}

/// A compaction that begins the history replaces what the program removed: another API gets its text.
#[test]
fn a_compaction_moves_to_another_api_as_text_only_if_it_begins_the_history() {
    let compaction: ContentPart = serde_json::from_value(json!({
        "type": "compaction",
        "summary": "They talked about ships.",
        "raw": {"provider": "anthropic", "block": {"type": "compaction", "content": "They talked about ships."}},
    }))
    .unwrap();
    let turn = Message::new(Role::Assistant, vec![compaction, "Ships.".into()]);
    let begins = ChatRequest::new("m")
        .system("Be brief.")
        .message(turn.clone())
        .user("Go on.");
    let later = ChatRequest::new("m")
        .user("What about ships?")
        .message(turn)
        .user("Go on.");
    for wire in wires() {
        let is_own = wire.name() == "anthropic";
        for (request, is_text) in [(&begins, true), (&later, false)] {
            let (body, warnings) = match encode(&*wire, request) {
                Ok(sent) => sent,
                // Converse must begin with a user message.
                Err(error) if wire.name() == "bedrock" => {
                    assert!(error.message().contains("user message"), "{error}");
                    continue;
                }
                Err(error) => panic!("{}: {error}", wire.name()),
            };
            let text = body.to_string();
            assert_eq!(text.contains("They talked"), is_own || is_text, "{text}");
            let is_told = warnings
                .iter()
                .any(|warning| warning.code == "opaque_left_out");
            assert_eq!(
                is_told,
                !is_own && !is_text,
                "{}: {warnings:?}",
                wire.name()
            );
        }
    }
}
