//! Which JSON schemas the services refuse to enforce. Written from their guides and error messages, apart from the library.

use crate::wire::{list, text_of};
use serde_json::Value;

/// Keywords without a place in the grammars that services make of schemas.
const CONDITIONS: &[&str] = &[
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
    "minLength",
    "maxLength",
    "prefixItems",
    "oneOf",
];

struct Rules {
    /// Further keywords that are refused.
    without: &'static [&'static str],
    conditions: bool,
    closed: bool,
    all_required: bool,
    object_root: bool,
    type_lists: bool,
    recursion: bool,
    formats: Option<&'static [&'static str]>,
}

const OPEN: Rules = Rules {
    without: &[],
    conditions: true,
    closed: false,
    all_required: false,
    object_root: false,
    type_lists: true,
    recursion: true,
    formats: None,
};

fn rules(service: &str) -> Rules {
    match service {
        "openai" | "groq" => Rules {
            without: &["allOf", "default"],
            conditions: false,
            closed: true,
            all_required: true,
            object_root: true,
            ..OPEN
        },
        "cerebras" => Rules {
            without: &["allOf", "default", "pattern", "minItems", "maxItems"],
            conditions: false,
            closed: true,
            object_root: true,
            type_lists: false,
            recursion: false,
            formats: Some(&[]),
            ..OPEN
        },
        "anthropic" | "bedrock" => Rules {
            without: &[
                "minimum",
                "maximum",
                "exclusiveMinimum",
                "exclusiveMaximum",
                "multipleOf",
                "maxItems",
            ],
            conditions: false,
            closed: true,
            recursion: false,
            formats: Some(&[
                "date-time",
                "time",
                "date",
                "duration",
                "email",
                "hostname",
                "uri",
                "ipv4",
                "ipv6",
                "uuid",
            ]),
            ..OPEN
        },
        "xai" => Rules {
            without: &["allOf", "minLength", "maxLength", "minItems", "maxItems"],
            ..OPEN
        },
        _ => OPEN,
    }
}

/// Why a service refuses to enforce this schema; `None` if it takes it.
#[must_use]
pub fn refusal(service: &str, schema: &Value) -> Option<String> {
    let rules = rules(service);
    if rules.object_root && (text_of(schema, "type") != "object" || schema.get("anyOf").is_some()) {
        return Some("schema must be a JSON Schema of 'type: \"object\"'".to_owned());
    }
    if !rules.recursion && is_recursive(schema, schema, &mut Vec::new()) {
        return Some("Circular reference detected in schema definitions".to_owned());
    }
    check(schema, &rules, &mut Vec::new(), service).err()
}

fn check(schema: &Value, rules: &Rules, at: &mut Vec<String>, service: &str) -> Result<(), String> {
    let context = || format!("In context=({})", at.join(", "));
    let Some(members) = schema.as_object() else {
        return match rules.closed {
            true => Err(format!("{}, schema must have a 'type' key.", context())),
            false => Ok(()),
        };
    };
    let refused = |name: &&String| {
        rules.without.contains(&name.as_str())
            || (!rules.conditions && CONDITIONS.contains(&name.as_str()))
    };
    if let Some(name) = members.keys().find(refused) {
        return Err(format!("{}, '{name}' is not permitted.", context()));
    }
    if members.contains_key("$ref") {
        let bare = members.keys().all(|name| name == "$ref" || name == "$defs");
        return match bare
            || matches!(
                service,
                "anthropic" | "bedrock" | "xai" | "ollama" | "llama-cpp"
            ) {
            true => Ok(()),
            false => Err(format!(
                "{}, $ref cannot have keywords beside it",
                context()
            )),
        };
    }
    if !rules.type_lists && schema["type"].is_array() {
        return Err(format!("{}, 'type' must be a string.", context()));
    }
    let is = |word: &str| {
        schema["type"] == word
            || schema["type"]
                .as_array()
                .is_some_and(|list| list.iter().any(|kind| kind == word))
    };
    let says_type = ["type", "anyOf", "allOf", "enum", "const"]
        .iter()
        .any(|name| members.contains_key(*name));
    if rules.closed && !says_type {
        return Err(format!("{}, schema must have a 'type' key.", context()));
    }
    if rules.closed
        && is("object")
        && members.get("additionalProperties") != Some(&Value::Bool(false))
    {
        return Err(format!(
            "{}, 'additionalProperties' is required to be supplied and to be false.",
            context()
        ));
    }
    if rules.closed && is("array") && !members.contains_key("items") {
        return Err(format!("{}, array schema missing items.", context()));
    }
    if let Some(known) = rules.formats
        && members
            .get("format")
            .is_some_and(|format| !known.iter().any(|known| format == known))
    {
        return Err(format!("{}, the format is not supported.", context()));
    }
    if matches!(service, "anthropic" | "bedrock")
        && members
            .get("minItems")
            .is_some_and(|least| least.as_u64() > Some(1))
    {
        return Err(format!(
            "{}, 'minItems' values other than 0 or 1 are not supported.",
            context()
        ));
    }
    if rules.all_required {
        let properties = schema["properties"].as_object();
        let required = list(schema, "required");
        let missing = properties
            .into_iter()
            .flat_map(|all| all.keys())
            .find(|name| !required.iter().any(|other| other == *name));
        if let Some(name) = missing {
            return Err(format!(
                "{}, 'required' is required to be supplied and to be an array including every key in properties. Missing '{name}'.",
                context()
            ));
        }
    }
    for name in ["properties", "$defs", "definitions"] {
        for (inner, schema) in members
            .get(name)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            at.extend([name.to_owned(), inner.clone()]);
            check(schema, rules, at, service)?;
            at.truncate(at.len() - 2);
        }
    }
    let lists = ["anyOf", "allOf"]
        .into_iter()
        .flat_map(|name| list(schema, name).iter().map(move |schema| (name, schema)));
    let single = ["items"]
        .into_iter()
        .filter_map(|name| Some((name, members.get(name)?)));
    for (name, schema) in lists.chain(single) {
        at.push(name.to_owned());
        check(schema, rules, at, service)?;
        at.pop();
    }
    Ok(())
}

fn is_recursive(root: &Value, schema: &Value, open: &mut Vec<String>) -> bool {
    match schema {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                if reference == "#" || open.iter().any(|other| other == reference) {
                    return true;
                }
                let Some(target) = root.pointer(reference.trim_start_matches('#')) else {
                    return false;
                };
                open.push(reference.to_owned());
                let found = is_recursive(root, target, open);
                open.pop();
                return found;
            }
            members
                .values()
                .any(|schema| is_recursive(root, schema, open))
        }
        Value::Array(all) => all.iter().any(|schema| is_recursive(root, schema, open)),
        _ => false,
    }
}

/// What of a body is refused: the schema of its answer, or that of a strict tool. `flat` tools are those of Responses.
pub(super) fn refused_in(service: &str, body: &Value) -> Option<String> {
    let format = [
        &body["response_format"]["json_schema"],
        &body["text"]["format"],
    ];
    for format in format {
        if format["strict"] == true
            && let Some(why) = refusal(service, &format["schema"])
        {
            return Some(format!(
                "Invalid schema for response_format '{}': {why}",
                text_of(format, "name")
            ));
        }
    }
    for tool in list(body, "tools") {
        let function = tool.get("function").unwrap_or(tool);
        if function["strict"] == true
            && let Some(parameters) = function.get("parameters").or(function.get("input_schema"))
            && let Some(why) = refusal(service, parameters)
        {
            return Some(format!(
                "Invalid schema for function '{}': {why}",
                text_of(function, "name")
            ));
        }
    }
    let format = &body["output_config"]["format"];
    let why = format
        .get("schema")
        .and_then(|schema| refusal(service, schema))?;
    Some(format!("output_config.format.schema: {why}"))
}
