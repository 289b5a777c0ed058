//! Schemas written by hand.

use super::*;

#[test]
fn a_reference_in_an_all_of_gets_no_sibling_keywords() {
    let mut schema = with(json!({"description": "x", "allOf": [{"$ref": "#/$defs/T"}]}));
    schema["$defs"] = json!({"T": {"type": "string"}});
    let (found, _) = by_hand(schema, &Dialect::OPENAI_STRICT).unwrap();
    let member = found["properties"]["a"].as_object().unwrap();
    assert!(!member.contains_key("allOf"), "{found}");
    assert!(!member.contains_key("$ref") || member.len() == 1, "{found}");
}

#[test]
fn a_property_that_becomes_required_is_nullable_in_any_form() {
    let mut schema = with(json!({"type": ["string"], "enum": ["x"]}));
    schema["required"] = json!([]);
    let (found, _) = by_hand(schema, &Dialect::OPENAI_STRICT).unwrap();
    let expected = json!({"type": ["string", "null"], "enum": ["x", null]});
    assert_eq!(found["properties"]["a"], expected);
}

#[test]
fn handwritten_schema_is_translated_for_each_server() {
    let open = &Dialect::OPENAI_STRICT;
    let cerebras = &Dialect::CEREBRAS_STRICT;
    let anthropic = &Dialect::ANTHROPIC_STRICT;
    for (dialect, member, expected, lost) in [
        (
            open,
            json!({"const": 1}),
            json!({"type": "integer", "enum": [1]}),
            &["const"][..],
        ),
        (
            open,
            json!({"const": "x", "default": "x"}),
            json!({"type": "string", "enum": ["x"]}),
            &["const", "default"],
        ),
        (
            open,
            json!({"oneOf": [{"const": "a", "description": "first"}, {"const": "b"}], "description": "Which."}),
            json!({"type": "string", "enum": ["a", "b"], "description": "Which.\na: first"}),
            &["oneOf"],
        ),
        (
            open,
            json!({"oneOf": [{"type": "string"}, {"type": "null"}]}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            &["oneOf"],
        ),
        (
            open,
            json!({"allOf": [{"type": "string"}], "title": "T"}),
            json!({"type": "string", "title": "T"}),
            &["allOf"],
        ),
        // Keywords from a merged `allOf` are treated like the schema's own.
        (
            open,
            json!({"allOf": [{"const": 1}], "title": "T"}),
            json!({"type": "integer", "enum": [1], "title": "T"}),
            &["allOf", "const"],
        ),
        (
            cerebras,
            json!({"allOf": [{"oneOf": [{"type": "string"}, {"type": "null"}]}]}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            &["allOf", "oneOf"],
        ),
        (
            open,
            json!({"allOf": [{"allOf": [{"type": "string"}]}]}),
            json!({"type": "string"}),
            &["allOf", "allOf"],
        ),
        (
            cerebras,
            json!({"type": ["string", "null"], "description": "d"}),
            json!({"description": "d", "anyOf": [{"type": "string"}, {"type": "null"}]}),
            &["type"],
        ),
        (
            cerebras,
            json!({"type": ["string", "null"], "enum": ["x", null]}),
            json!({"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]}),
            &["type"],
        ),
        (
            cerebras,
            json!({"type": ["array", "integer"], "items": {"type": ["string", "null"]}, "minimum": 3}),
            json!({"anyOf": [
                {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
                {"type": "integer", "minimum": 3}]}),
            &["items/type", "type"],
        ),
        // Names of properties and values are not keywords.
        (
            open,
            json!({"enum": [{"default": 1}], "type": "object", "properties": {}, "required": [], "additionalProperties": false}),
            json!({"enum": [{"default": 1}], "type": "object", "properties": {}, "required": [], "additionalProperties": false}),
            &[],
        ),
        (
            open,
            with(json!({"type": "string"}))
                .as_object()
                .map(|object| {
                    let mut object = object.clone();
                    object["properties"] =
                        json!({"default": {"type": "string"}, "const": {"type": "string"}});
                    object["required"] = json!(["default", "const"]);
                    Value::Object(object)
                })
                .unwrap(),
            json!({"type": "object", "properties": {"default": {"type": "string"}, "const": {"type": "string"}},
            "required": ["default", "const"], "additionalProperties": false}),
            &[],
        ),
        (anthropic, json!({"const": "x"}), json!({"const": "x"}), &[]),
        (
            anthropic,
            json!({"type": ["string", "null"], "format": "ip"}),
            json!({"type": ["string", "null"]}),
            &["format"],
        ),
    ] {
        let (found, paths) = by_hand(with(member.clone()), dialect).unwrap();
        assert_eq!(found, with(expected), "{member}");
        let lost: Vec<_> = lost
            .iter()
            .map(|path| (format!("/properties/a/{path}"), false))
            .collect();
        assert_eq!(paths, lost, "{member}");
    }
}

#[test]
fn references_are_inlined_if_the_server_does_not_resolve_them() {
    let cerebras = &Dialect::CEREBRAS_STRICT;
    let mut schema = with(json!({"$ref": "#/$defs/Unit", "description": "own"}));
    schema["$defs"] = json!({"Unit": {"type": "string", "description": "theirs"}});
    let (found, lost) = by_hand(schema.clone(), cerebras).unwrap();
    assert_eq!(found, with(json!({"type": "string", "description": "own"})));
    assert_eq!(lost, [("/properties/a/$ref".to_owned(), false)]);
    // If the server resolves them, they have no sibling keywords.
    let (found, lost) = by_hand(schema, &Dialect::OPENAI_STRICT).unwrap();
    assert_eq!(found["properties"]["a"], json!({"$ref": "#/$defs/Unit"}));
    assert_eq!(lost, [("/properties/a/description".to_owned(), false)]);
    // The root is repeated if a reference to it is not resolved.
    let tree = with(json!({"type": "array", "items": {"$ref": "#"}}));
    let (found, lost) = by_hand(tree.clone(), &Dialect::LLAMA_CPP).unwrap();
    assert_eq!(found["properties"]["a"]["items"]["$ref"], "#/$defs/root");
    assert_eq!(
        found["$defs"]["root"]["properties"]["a"]["items"]["$ref"],
        "#/$defs/root"
    );
    assert_eq!(lost, [(String::new(), false)]);
    assert_eq!(
        by_hand(tree.clone(), &Dialect::OPENAI_STRICT).unwrap().0,
        tree
    );
    // A schema that grows without bound is refused.
    let mut bomb = with(json!({"$ref": "#/$defs/d0"}));
    bomb["$defs"] = (0..30)
        .map(|n| {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            let both = json!({"type": "object", "properties": {"x": next, "y": next}, "required": ["x", "y"], "additionalProperties": false});
            (format!("d{n}"), if n == 29 { json!({"type": "string"}) } else { both })
        })
        .collect();
    assert!(by_hand(bomb, cerebras).unwrap_err().contains("too large"));
}

#[test]
fn unenforceable_schemas_are_refused_with_their_path() {
    let open = &Dialect::OPENAI_STRICT;
    for (dialect, schema, path) in [
        (
            open,
            with(json!({"type": "object", "additionalProperties": {"type": "string"}})),
            "/properties/a",
        ),
        (open, with(json!({"type": "object"})), "/properties/a"),
        (open, with(json!({"type": "array"})), "/properties/a"),
        (
            open,
            with(json!({"type": "array", "items": {}})),
            "/properties/a/items",
        ),
        (open, with(json!(true)), "/properties/a"),
        (
            open,
            with(json!({"allOf": [{"type": "string"}, {"minLength": 1}]})),
            "/properties/a/allOf",
        ),
        (
            open,
            with(json!({"allOf": [{"allOf": [{"type": "string"}, {"minLength": 1}]}]})),
            "/properties/a/allOf",
        ),
        (
            open,
            json!({"anyOf": [with(json!({"type": "string"}))]}),
            "``",
        ),
        (
            open,
            json!({"type": "array", "items": {"type": "string"}}),
            "``",
        ),
        (
            &Dialect::CEREBRAS_STRICT,
            with(json!({"$ref": "#"})),
            "/properties/a/$ref",
        ),
        (
            &Dialect::CEREBRAS_STRICT,
            with(json!({"$ref": "#/$defs/none"})),
            "/properties/a/$ref",
        ),
        (
            &Dialect::ANTHROPIC_STRICT,
            with(json!({"type": "array", "items": {"$ref": "#"}})),
            "/properties/a/items/$ref",
        ),
    ] {
        let error = by_hand(schema.clone(), dialect).unwrap_err();
        assert!(error.contains(path), "{schema}: {error}");
    }
    let (_, lost) = by_hand(with(json!({"type": "string", "minLength": 1})), open).unwrap();
    assert_eq!(lost, [("/properties/a/minLength".to_owned(), true)]);
    let optional = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let (found, lost) = by_hand(optional, open).unwrap();
    assert_eq!(lost, [("/properties/a".to_owned(), true)]);
    assert_eq!(found["required"], json!(["a"]));
    assert_eq!(found["properties"]["a"]["type"], json!(["string", "null"]));
}

#[test]
fn tools_are_adapted_and_only_strict_ones_are_closed() {
    let schema = json!({"type": "object", "properties": {"unit": {"const": "C", "default": "C"}}, "required": ["unit"]});
    let tool = |strict| {
        let mut tool = Tool::function("f", "", &schema).unwrap();
        if let Tool::Function { strict: own, .. } = &mut tool {
            *own = strict;
        }
        tool
    };
    let provider = chat(profiles::OPENAI);
    let place = "/tools/0/function/parameters";
    let ask = |strict| ChatRequest::new("m").user("hi").tool(tool(strict));
    assert_eq!(sent(&provider, place, &ask(None)).unwrap().0, schema);
    let (strict, warnings) = sent(&provider, place, &ask(Some(true))).unwrap();
    assert_eq!(
        (strict["additionalProperties"].clone(), warnings),
        (json!(false), 0)
    );
    assert_eq!(
        strict["properties"]["unit"],
        json!({"type": "string", "enum": ["C"]})
    );
    // Gemini's OpenAI-compatible API never accepts a list of types.
    let nullable = with(json!({"type": ["string", "null"]}));
    let request = ChatRequest::new("m")
        .user("hi")
        .tool(Tool::function("f", "", &nullable).unwrap());
    let (found, _) = sent(&chat(profiles::GEMINI), place, &request).unwrap();
    assert_eq!(
        found,
        with(json!({"anyOf": [{"type": "string"}, {"type": "null"}]}))
    );
}

#[test]
fn only_drop_unsupported_requests_have_their_schemas_altered() {
    let map = with(json!({"type": "object", "additionalProperties": {"type": "string"}}));
    let ask = |schema: &Value| {
        let format = JsonSchema::new("s", schema).unwrap();
        ChatRequest::new("m")
            .user("hi")
            .response_format(ResponseFormat::JsonSchema(format))
    };
    let provider = chat(profiles::OPENAI);
    let error = provider.encode_chat(&ask(&map)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(
        error.message().contains("`response_format` (`s`)")
            && error.message().contains("`/properties/a`"),
        "{error}"
    );
    let encoded = provider.encode_chat(&ask(&map).drop_unsupported()).unwrap();
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    let format = &body["response_format"]["json_schema"];
    assert_eq!(
        (&format["strict"], &format["schema"]),
        (&json!(false), &map)
    );
    assert_eq!(encoded.warnings[0].code, "schema_altered");
    // Unchanged parts keep their order and notation.
    let text = r#"{"type":"object","properties":{"z":{"type":"number","maximum":1.50},"a":{"type":"string"}},"required":["z","a"],"additionalProperties":false}"#;
    let schema = Json::parse(text).unwrap();
    assert_eq!(
        adapt(&schema, &Dialect::OPENAI_STRICT)
            .unwrap()
            .schema
            .as_str(),
        text
    );
    let changed = Json::parse(text.replace("\"type\":\"string\"", "\"const\":\"x\"")).unwrap();
    let adapted = adapt(&changed, &Dialect::OPENAI_STRICT).unwrap();
    assert_eq!(
        adapted.schema.as_str(),
        text.replace(
            "\"type\":\"string\"",
            "\"type\":\"string\",\"enum\":[\"x\"]"
        )
    );
}
