//! Which JSON schemas the services refuse to enforce. Written from their guides and error messages, independently of
//! the library.

use crate::protocol::{list, text_of};
use serde_json::Value;

/// Keywords that the services' grammars lack.
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

/// Keywords that make a schema a choice.
const CHOICES: [&str; 5] = ["anyOf", "oneOf", "allOf", "enum", "not"];

#[derive(Clone, Copy)]
struct Rules {
    /// Refused keywords.
    without: &'static [&'static str],
    /// Whether `CONDITIONS` are refused too.
    no_conditions: bool,
    /// Whether each schema must have a type, and each array an element schema.
    typed: bool,
    closed: bool,
    all_required: bool,
    /// Whether each object needs a required property.
    one_required: bool,
    /// Whether required names must be among the properties.
    required_defined: bool,
    /// Whether the root must be an object without a choice.
    object_root: bool,
    /// Whether objects need `properties` and arrays `items`.
    members_listed: bool,
    one_type: bool,
    no_recursion: bool,
    /// Whether an object that contains itself through required properties is refused.
    no_endless: bool,
    /// Whether the root (`#`) cannot be referenced.
    no_root_reference: bool,
    /// Whether only a description may be next to `$ref`.
    bare_references: bool,
    formats: Option<&'static [&'static str]>,
    most_min_items: Option<u64>,
    /// Why a pattern is refused.
    pattern: Option<fn(&str) -> Option<&'static str>>,
}

/// OpenAI's strict mode, which Groq adopted.
const OPENAI: Rules = Rules {
    without: &["allOf", "default"],
    no_conditions: true,
    typed: true,
    closed: true,
    all_required: true,
    object_root: true,
    members_listed: true,
    bare_references: true,
    ..NONE
};

/// Anthropic's, also at Bedrock.
const ANTHROPIC: Rules = Rules {
    without: &[
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "maxItems",
    ],
    no_conditions: true,
    typed: true,
    closed: true,
    no_recursion: true,
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
    most_min_items: Some(1),
    ..NONE
};

const COHERE: Rules = Rules {
    without: &[
        "allOf",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "maxItems",
    ],
    no_conditions: true,
    one_required: true,
    object_root: true,
    formats: Some(&["date-time", "uuid", "date", "time"]),
    pattern: Some(|pattern| {
        let refused = ["^", "$", "?=", "?!"];
        let has = refused.iter().any(|what| pattern.contains(what));
        has.then_some("^, $, ?= and ?! are not supported in a pattern")
    }),
    ..NONE
};

const LLAMA_CPP: Rules = Rules {
    no_root_reference: true,
    pattern: Some(|pattern| {
        if !(pattern.starts_with('^') && pattern.ends_with('$')) {
            return Some("Pattern must start with '^' and end with '$'");
        }
        let classes = ["\\d", "\\w", "\\s", "\\D", "\\W", "\\S", "\\b"];
        let has = classes.iter().any(|class| pattern.contains(class));
        has.then_some("failed to parse grammar")
    }),
    ..NONE
};

const NONE: Rules = Rules {
    without: &[],
    no_conditions: false,
    typed: false,
    closed: false,
    all_required: false,
    one_required: false,
    required_defined: false,
    object_root: false,
    members_listed: false,
    one_type: false,
    no_recursion: false,
    no_endless: false,
    no_root_reference: false,
    bare_references: false,
    formats: None,
    most_min_items: None,
    pattern: None,
};

/// What a service refuses in a schema that it enforces.
fn enforced(service: &str) -> Rules {
    match service {
        "openai" | "groq" => OPENAI,
        "cerebras" => Rules {
            without: &["allOf", "default", "pattern", "minItems", "maxItems"],
            all_required: false,
            one_type: true,
            no_recursion: true,
            formats: Some(&[]),
            ..OPENAI
        },
        "anthropic" | "bedrock" => ANTHROPIC,
        "xai" => Rules {
            without: &[
                "allOf",
                "minLength",
                "maxLength",
                "minItems",
                "maxItems",
                "minContains",
                "maxContains",
            ],
            ..NONE
        },
        "mistral" => Rules {
            without: &["oneOf"],
            closed: true,
            ..NONE
        },
        "cohere" => COHERE,
        "gemini" => Rules {
            bare_references: true,
            required_defined: true,
            no_endless: true,
            ..NONE
        },
        "gemini-openai" => Rules {
            without: &["const", "oneOf"],
            bare_references: true,
            one_type: true,
            ..NONE
        },
        "llama-cpp" | "ollama" => LLAMA_CPP,
        _ => NONE,
    }
}

/// What a service refuses in a tool's schema that it does not enforce.
fn shown(service: &str) -> Rules {
    match service {
        "openai" => Rules {
            object_root: true,
            members_listed: true,
            ..NONE
        },
        "anthropic" => Rules {
            object_root: true,
            ..NONE
        },
        "gemini" | "gemini-openai" | "llama-cpp" => enforced(service),
        _ => NONE,
    }
}

/// Why a service refuses to enforce this schema; `None` if it accepts it.
#[must_use]
pub fn refusal(service: &str, schema: &Value) -> Option<String> {
    whole(&enforced(service), schema)
}

/// Why a service refuses a schema that it only shows to the model: that of a tool without `strict`.
#[must_use]
pub fn tool_refusal(service: &str, schema: &Value) -> Option<String> {
    whole(&shown(service), schema)
}

fn whole(rules: &Rules, schema: &Value) -> Option<String> {
    if rules.object_root {
        if text_of(schema, "type") != "object" {
            return Some("schema must be a JSON Schema of 'type: \"object\"'".to_owned());
        }
        if let Some(name) = CHOICES.iter().find(|name| schema.get(name).is_some()) {
            return Some(format!("schema must not have '{name}' at the top level"));
        }
    }
    if rules.no_recursion && is_recursive(schema, schema, &mut Vec::new()) {
        return Some("Circular reference detected in schema definitions".to_owned());
    }
    if rules.no_endless && is_endless(schema, schema, 0) {
        return Some("a ref loop of required fields was found".to_owned());
    }
    check(schema, rules, &mut Vec::new(), schema).err()
}

fn check(schema: &Value, rules: &Rules, at: &mut Vec<String>, root: &Value) -> Result<(), String> {
    let refuse = |at: &[String], what: &str| Err(format!("In context=({}), {what}", at.join(", ")));
    let Some(members) = schema.as_object() else {
        return match rules.typed {
            true => refuse(at, "schema must have a 'type' key."),
            false => Ok(()),
        };
    };
    let refused = |name: &&String| {
        rules.without.contains(&name.as_str())
            || (rules.no_conditions && CONDITIONS.contains(&name.as_str()))
    };
    if let Some(name) = members.keys().find(refused) {
        return refuse(at, &format!("'{name}' is not permitted."));
    }
    if let Some(reference) = members.get("$ref") {
        let target = reference.as_str().and_then(|text| text.strip_prefix('#'));
        if target.and_then(|pointer| root.pointer(pointer)).is_none() {
            return refuse(at, "reference to undefined schema.");
        }
        if rules.no_root_reference && target == Some("") {
            return refuse(at, "Unsupported ref: #");
        }
        let is_bare = members
            .keys()
            .all(|name| ["$ref", "$defs", "definitions"].contains(&name.as_str()));
        if rules.bare_references && !is_bare {
            return refuse(at, "$ref cannot have keywords beside it.");
        }
    } else {
        own(schema, rules).or_else(|what| refuse(at, &what))?;
    }
    for name in ["properties", "$defs", "definitions"] {
        let inner = members.get(name).and_then(Value::as_object);
        for (inner, schema) in inner.into_iter().flatten() {
            at.extend([name.to_owned(), inner.clone()]);
            check(schema, rules, at, root)?;
            at.truncate(at.len() - 2);
        }
    }
    let lists = ["anyOf", "oneOf", "allOf", "prefixItems"]
        .into_iter()
        .flat_map(|name| list(schema, name).iter().map(move |schema| (name, schema)));
    let open = members.get("additionalProperties");
    let open = open.filter(|inner| inner.is_object());
    let single = [
        ("items", members.get("items")),
        ("additionalProperties", open),
    ]
    .into_iter()
    .filter_map(|(name, inner)| Some((name, inner?)));
    for (name, schema) in lists.chain(single) {
        at.push(name.to_owned());
        check(schema, rules, at, root)?;
        at.pop();
    }
    Ok(())
}

fn is_of(schema: &Value, word: &str) -> bool {
    schema["type"] == word || list(schema, "type").iter().any(|kind| kind == word)
}

/// Problems of a schema itself, without its subschemas.
fn own(schema: &Value, rules: &Rules) -> Result<(), String> {
    let has = |name: &str| schema.get(name).is_some();
    let refuse = |what: &str| Err(what.to_owned());
    if rules.one_type && schema["type"].is_array() {
        return refuse("'type' must be a string.");
    }
    let says_type = ["type", "anyOf", "oneOf", "allOf", "enum", "const"]
        .into_iter()
        .any(has);
    if rules.typed && !says_type {
        return refuse("schema must have a 'type' key.");
    }
    let is_object = is_of(schema, "object");
    if rules.closed && is_object && schema["additionalProperties"] != false {
        return refuse("'additionalProperties' is required to be supplied and to be false.");
    }
    if rules.members_listed && is_object && !has("properties") {
        return refuse("object schema missing properties.");
    }
    if (rules.typed || rules.members_listed) && is_of(schema, "array") && !has("items") {
        return refuse("array schema missing items.");
    }
    let takes = |known: &&[&str]| known.iter().any(|known| schema["format"] == *known);
    if has("format") && rules.formats.is_some_and(|known| !takes(&known)) {
        return refuse("the format is not supported.");
    }
    let least = schema["minItems"].as_u64();
    if rules
        .most_min_items
        .is_some_and(|most| least.is_some_and(|least| least > most))
    {
        return refuse("'minItems' values other than 0 or 1 are not supported.");
    }
    if let (Some(check), Some(pattern)) = (rules.pattern, schema["pattern"].as_str()) {
        if let Some(what) = check(pattern) {
            return refuse(what);
        }
    }
    let properties = schema["properties"].as_object();
    let required = list(schema, "required");
    if rules.one_required && is_object && required.is_empty() {
        return refuse("an object must have at least one required field.");
    }
    let is_required = |name: &&String| required.iter().any(|other| other == *name);
    let mut names = properties.into_iter().flat_map(|all| all.keys());
    let missing = names.find(|name| !is_required(name));
    if let Some(name) = missing.filter(|_| rules.all_required) {
        return Err(format!(
            "'required' is required to be supplied and to be an array including every key in properties. Missing '{name}'."
        ));
    }
    let is_defined = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        properties.is_some_and(|all| all.contains_key(name))
    };
    if rules.required_defined && !required.iter().all(is_defined) {
        return refuse("required: property is not defined");
    }
    Ok(())
}

/// Whether no value can match, because an object requires another one of its kind endlessly.
fn is_endless(schema: &Value, root: &Value, depth: usize) -> bool {
    if depth > 64 {
        return true;
    }
    if let Some(pointer) = schema["$ref"]
        .as_str()
        .and_then(|text| text.strip_prefix('#'))
    {
        return root
            .pointer(pointer)
            .is_some_and(|target| is_endless(target, root, depth + 1));
    }
    let branches = list(schema, "anyOf");
    if !branches.is_empty() {
        return branches
            .iter()
            .all(|branch| is_endless(branch, root, depth + 1));
    }
    !list(schema, "type").iter().any(|kind| kind != "object")
        && list(schema, "required").iter().any(|name| {
            let member = &schema["properties"][name.as_str().unwrap_or_default()];
            member.is_object() && is_endless(member, root, depth + 1)
        })
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

/// The refused schema in a body: that of its response, or of a tool, if the service checks it.
pub(in crate::protocol) fn refused_in(service: &str, body: &Value) -> Option<String> {
    refused_answer(service, body).or_else(|| refused_tool(service, body))
}

fn refused_answer(service: &str, body: &Value) -> Option<String> {
    // Bedrock has it as a string.
    let textual = &body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"];
    let textual = serde_json::from_str::<Value>(textual.as_str().unwrap_or("null"));
    let always = [
        &body["output_config"]["format"]["schema"],
        &body["generationConfig"]["responseJsonSchema"],
        &body["format"],
        &body["response_format"]["json_schema"],
        textual.as_ref().unwrap_or(&Value::Null),
    ];
    let format = [
        &body["response_format"]["json_schema"],
        &body["text"]["format"],
    ];
    let strict = format.into_iter().filter_map(|format| {
        let is_looked_at =
            format["strict"] == true || matches!(service, "gemini-openai" | "llama-cpp" | "ollama");
        format.get("schema").filter(|_| is_looked_at)
    });
    // Only Cohere has the schema itself where other APIs have an object with its name.
    let always = always.into_iter().filter(|schema| {
        schema.is_object() && (schema.get("schema").is_none() || service == "cohere")
    });
    let why = always
        .chain(strict)
        .find_map(|schema| refusal(service, schema))?;
    Some(format!("Invalid schema for response_format: {why}"))
}

fn refused_tool(service: &str, body: &Value) -> Option<String> {
    let google = list(body, "tools")
        .iter()
        .flat_map(|tool| list(tool, "functionDeclarations"));
    let bedrock = list(&body["toolConfig"], "tools");
    for tool in list(body, "tools").iter().chain(google).chain(bedrock) {
        let function = ["function", "toolSpec"]
            .iter()
            .find_map(|name| tool.get(name))
            .unwrap_or(tool);
        let schema = [
            &function["parameters"],
            &function["input_schema"],
            &function["parametersJsonSchema"],
            &function["inputSchema"]["json"],
        ];
        let Some(schema) = schema.into_iter().find(|schema| !schema.is_null()) else {
            continue;
        };
        let is_strict = function["strict"] == true || body["strict_tools"] == true;
        let why = match is_strict {
            true => refusal(service, schema),
            false => tool_refusal(service, schema),
        };
        if let Some(why) = why {
            return Some(format!(
                "Invalid schema for function '{}': {why}",
                text_of(function, "name")
            ));
        }
    }
    None
}
