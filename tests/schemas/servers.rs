//! The schemas sent to each server, checked against the loopback provider and against the docs.

use super::*;

/// The same servers at the loopback provider, whose rules are written independently.
fn at_loopback(server: &unifiedai_loopback::Loopback) -> Vec<Arc<dyn Provider>> {
    let base = server.base_url();
    let base = base.strip_suffix("/v1").unwrap_or(&base).to_owned();
    let chat = |profile: ChatProfile, path: &str| -> Arc<dyn Provider> {
        let builder = OpenAiChat::builder()
            .profile(profile)
            .base_url([&base, path].concat());
        Arc::new(builder.build().unwrap())
    };
    let responses = OpenAiResponses::builder()
        .profile(unifiedai::provider::openai_responses::ResponsesProfile::OPENAI)
        .base_url([&base, "/v1"].concat());
    vec![
        Arc::new(responses.build().unwrap()),
        chat(profiles::CEREBRAS, "/v1"),
        chat(profiles::GROQ, "/as/groq/v1"),
        Arc::new(Anthropic::builder().base_url(&base).build().unwrap()),
        Arc::new(
            Bedrock::builder()
                .region("us-east-1")
                .base_url(&base)
                .build()
                .unwrap(),
        ),
        Arc::new(Gemini::builder().base_url(&base).build().unwrap()),
        chat(profiles::XAI, "/as/xai/v1"),
        Arc::new(Ollama::builder().base_url(&base).build().unwrap()),
        chat(profiles::MISTRAL, "/as/mistral/v1"),
        Arc::new(Cohere::builder().base_url(&base).build().unwrap()),
        chat(profiles::LLAMA_CPP, "/as/llama-cpp/v1"),
    ]
}

#[test]
fn the_loopback_provider_accepts_sent_schemas_and_refuses_the_originals() {
    let server = unifiedai_loopback::Loopback::start(unifiedai_loopback::Config::fast()).unwrap();
    let types = types();
    for (at, provider) in at_loopback(&server).into_iter().enumerate() {
        let (service, _, place) = servers().swap_remove(at);
        let client = Client::shared(unifiedai::transport::UreqTransport::new(), provider.clone());
        let mut refused = 0;
        for (name, schema, row) in &types {
            let request = ChatRequest::new("m")
                .user("hi")
                .response_format(ResponseFormat::JsonSchema(schema.clone()));
            let fate = row.as_bytes()[at];
            let request = match fate {
                b'=' | b'~' => request,
                b'?' => request.drop_unsupported(),
                _ => continue,
            };
            let answer = client.chat(request.clone());
            assert!(answer.is_ok(), "{name} at {service}: {answer:?}");
            // Each change was necessary.
            let own: Value = schema.schema.decode().unwrap();
            let sent = sent(&provider, place, &request).unwrap().0;
            let is_refused = unifiedai_loopback::schema_refusal(service, &own).is_some();
            assert!(fate != b'=' || !is_refused, "{name} at {service}: {sent}");
            refused += usize::from(is_refused);
        }
        let takes_all = ["gemini"].contains(&service);
        assert_eq!(refused == 0, takes_all, "{service}");
    }
}

#[test]
fn each_provider_has_the_dialect_that_the_docs_list() {
    use unifiedai::{provider::openai_responses, schema::Dialects};
    let docs = include_str!("../../docs/schemas.md");
    // Rows of the table of profiles: the name of the constant, and the profiles.
    let named = |name: &str| match name {
        "OPENAI" => Dialects::OPENAI,
        "OPENAI_LIKE" => Dialects::OPENAI_LIKE,
        "CEREBRAS" => Dialects::CEREBRAS,
        "XAI" => Dialects::XAI,
        "MISTRAL" => Dialects::MISTRAL,
        "GEMINI_OPENAI" => Dialects::GEMINI_OPENAI,
        "LLAMA_CPP" => Dialects::LLAMA_CPP,
        "OLLAMA" => Dialects::OLLAMA,
        "ANY" => Dialects::ANY,
        other => panic!("{other} is not a dialect of a profile"),
    };
    let (_, table) = docs.split_once("| `Dialects` | profiles |").unwrap();
    let mut listed = std::collections::BTreeMap::new();
    for row in table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
    {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        for profile in cells[1].split(", ").filter(|name| name.starts_with('`')) {
            let old = listed.insert(profile.trim_matches('`'), cells[0].trim_matches('`'));
            assert_eq!(old, None, "{profile} is listed twice");
        }
    }
    let chat = profiles::ALL.iter().map(|p| (p.name, p.schemas));
    let responses = openai_responses::ResponsesProfile::ALL.iter();
    let all: Vec<_> = chat.chain(responses.map(|p| (p.name, p.schemas))).collect();
    for (name, dialects) in &all {
        let row = listed.remove(name).unwrap_or("ANY");
        assert_eq!(*dialects, named(row), "{name}, listed as {row}");
    }
    assert!(listed.is_empty(), "there is no profile {listed:?}");
}

#[test]
fn references_without_a_target_are_refused_by_every_provider() {
    let servers = servers();
    for (reference, is_right) in [
        ("#/$defs/Nope", false),
        ("#/$defs", false),
        ("#/properties/a/$ref/x", false),
        ("#nowhere", false),
        ("https://example.com/schema.json", false),
        ("other.json#/$defs/T", false),
        ("/$defs/T", false),
        ("", false),
        ("#/$defs/T", true),
        ("#/$defs/T%3Cx%3E", true),
        ("#/$defs/T<x>", true),
        ("#named", true),
    ] {
        let mut schema = with(
            json!({"type": "object", "properties": {"b": {"$ref": reference}},
            "required": ["b"], "additionalProperties": false}),
        );
        schema["$defs"] = json!({"T": {"type": "string"}, "T<x>": {"type": "string"},
            "N": {"$anchor": "named", "type": "string"}});
        if !is_right && reference == "#/$defs" {
            schema.as_object_mut().unwrap().remove("$defs");
        }
        for (service, provider, _) in &servers {
            for strict in [None, Some(true)] {
                // It has no strict tools.
                if strict.is_some() && *service == "ollama" {
                    continue;
                }
                let mut format = JsonSchema::new("s", &schema).unwrap();
                format.strict = strict;
                let mut tool = Tool::function("f", "", &schema).unwrap();
                if let Tool::Function { strict: own, .. } = &mut tool {
                    *own = strict;
                }
                let ask = ChatRequest::new("m").user("hi");
                for request in [
                    ask.clone()
                        .response_format(ResponseFormat::JsonSchema(format)),
                    ask.tool(tool),
                ] {
                    for request in [request.clone(), request.drop_unsupported()] {
                        match provider.encode_chat(&request) {
                            Ok(_) => assert!(is_right, "{reference} at {service}"),
                            Err(error) => {
                                assert!(!is_right, "{reference} at {service}: {error}");
                                let path = "`/properties/a/properties/b/$ref`";
                                assert!(error.message().contains(path), "{error}");
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_root_without_properties_is_closed_for_a_function_and_refused_for_a_response() {
    let bare = json!({"type": "object"});
    let closed = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let tool = |schema: &Value, strict| {
        let mut tool = Tool::function("f", "", schema).unwrap();
        if let Tool::Function { strict: own, .. } = &mut tool {
            *own = strict;
        }
        ChatRequest::new("m").user("hi").tool(tool)
    };
    let in_chat = "/tools/0/function/parameters";
    let openai = chat(profiles::OPENAI);
    let mistral = chat(profiles::MISTRAL);
    let anthropic: Arc<dyn Provider> = Arc::new(Anthropic::new("k").unwrap());
    let bedrock = Bedrock::builder().region("us-east-1").api_key("k").unwrap();
    let bedrock: Arc<dyn Provider> = Arc::new(bedrock.build().unwrap());
    for (provider, place, service) in [
        (&openai, in_chat, "openai"),
        (&mistral, in_chat, "mistral"),
        (&anthropic, "/tools/0/input_schema", "anthropic"),
        (
            &bedrock,
            "/toolConfig/tools/0/toolSpec/inputSchema/json",
            "bedrock",
        ),
    ] {
        for schema in [&bare, &json!({"type": "object", "title": "T"})] {
            let (mut sent, _) = sent(provider, place, &tool(schema, Some(true))).unwrap();
            assert_eq!(
                unifiedai_loopback::schema_refusal(service, &sent),
                None,
                "{sent}"
            );
            let sent = sent.as_object_mut().unwrap();
            sent.remove("title");
            // OpenAI also requires the empty list.
            sent.remove("required");
            assert_eq!(Value::Object(sent.clone()), closed, "{service}");
        }
        let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
        assert!(sent(provider, place, &tool(&map, Some(true))).is_err());
    }
    for (service, provider, place) in servers() {
        let mut format = JsonSchema::new("s", &bare).unwrap();
        format.strict = Some(true);
        let ask = ChatRequest::new("m").user("hi");
        let request = ask.response_format(ResponseFormat::JsonSchema(format));
        let found = sent(&provider, place, &request);
        let is_refused = unifiedai_loopback::schema_refusal(service, &bare).is_some();
        assert_eq!(found.is_err(), is_refused, "{service}");
    }
    // Without `strict` OpenAI still requires properties and a type.
    for schema in [json!({"type": "object"}), json!({})] {
        assert_eq!(
            sent(&openai, in_chat, &tool(&schema, None)).unwrap().0,
            json!({"type": "object", "properties": {}})
        );
        let anthropic = sent(&anthropic, "/tools/0/input_schema", &tool(&schema, None));
        assert_eq!(anthropic.unwrap().0, bare);
    }
    let list = json!({"type": "object", "properties": {"a": {"type": "array"}}});
    let (found, _) = sent(&openai, in_chat, &tool(&list, None)).unwrap();
    assert_eq!(unifiedai_loopback::tool_refusal("openai", &found), None);
    assert_eq!(found["properties"]["a"]["items"], json!({}));
    // A reference at the root is replaced by its target, and a choice is refused.
    let elsewhere =
        json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {}}}});
    let choice = json!({"anyOf": [{"type": "object", "properties": {}}, {"type": "object"}]});
    for (provider, place, service) in [
        (&openai, in_chat, "openai"),
        (&anthropic, "/tools/0/input_schema", "anthropic"),
    ] {
        let (found, _) = sent(provider, place, &tool(&elsewhere, None)).unwrap();
        assert_eq!(
            unifiedai_loopback::tool_refusal(service, &found),
            None,
            "{found}"
        );
        assert!(unifiedai_loopback::tool_refusal(service, &choice).is_some());
        assert!(sent(provider, place, &tool(&choice, None)).is_err());
    }
}

#[test]
fn coheres_strict_flag_applies_to_all_tools() {
    let cohere: Arc<dyn Provider> = Arc::new(Cohere::new("k").unwrap());
    let tool = |name: &str, schema: Value, strict| {
        let mut tool = Tool::function(name, "", &schema).unwrap();
        if let Tool::Function { strict: own, .. } = &mut tool {
            *own = strict;
        }
        tool
    };
    let plain = || with(json!({"type": "string"}));
    let ask = |other: Value| {
        ChatRequest::new("m")
            .user("hi")
            .tool(tool("a", plain(), Some(true)))
            .tool(tool("b", other, None))
    };
    // The schema of the other tool is enforced too.
    let place = "/tools/1/function/parameters";
    let optional = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    assert!(sent(&cohere, place, &ask(optional.clone())).is_err());
    let (found, warnings) = sent(&cohere, place, &ask(optional).drop_unsupported()).unwrap();
    assert_eq!((&found["required"], warnings), (&json!(["a"]), 1));
    assert_eq!(unifiedai_loopback::schema_refusal("cohere", &found), None);
    // A schema that cannot be enforced removes the flag from all tools.
    let none = json!({"type": "object", "properties": {}});
    let encoded = cohere.encode_chat(&ask(none).drop_unsupported()).unwrap();
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    assert_eq!(body.get("strict_tools"), None);
    let encoded = cohere.encode_chat(&ask(plain())).unwrap();
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    assert_eq!(body["strict_tools"], true);
}

#[test]
fn patterns_are_rewritten_for_each_grammar() {
    for (dialect, pattern, said) in [
        (&Dialect::LLAMA_CPP, r"\d+", Some("^.*[0-9]+.*$")),
        (&Dialect::LLAMA_CPP, "^[a-z]+$", Some("^[a-z]+$")),
        (&Dialect::LLAMA_CPP, r"\bword", None),
        (&Dialect::COHERE_STRICT, "^[0-9]{3}$", Some("[0-9]{3}")),
        (&Dialect::COHERE_STRICT, "[0-9]{3}", Some("[0-9]{3}")),
        (&Dialect::COHERE_STRICT, "^(?!a)b$", None),
    ] {
        let schema = with(json!({"type": "string", "pattern": pattern}));
        let (found, lost) = by_hand(schema, dialect).unwrap();
        assert_eq!(
            found["properties"]["a"]["pattern"].as_str(),
            said,
            "{pattern}"
        );
        let changes_meaning = lost.iter().any(|(_, changes_meaning)| *changes_meaning);
        assert_eq!(changes_meaning, said.is_none(), "{pattern}");
    }
}
