//! The parts of JSON Schema that a server accepts, as data.

/// The parts of JSON Schema that a server accepts. A new server needs a new value of this type and a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialect {
    /// Accepts `oneOf`. Otherwise it becomes `anyOf`, and a `oneOf` of constants becomes an `enum`.
    pub one_of: bool,
    /// Accepts `const`. Otherwise it becomes an `enum` of one value.
    pub constants: bool,
    /// Accepts `default`. Otherwise it is removed.
    pub defaults: bool,
    /// Accepts a list of types, such as `["string", "null"]`. Otherwise it becomes `anyOf`.
    pub type_lists: bool,
    /// The targets that `$ref` may have.
    pub references: References,
    /// Accepts other keywords next to `$ref`.
    pub beside_references: bool,
    /// Accepts `prefixItems`. Otherwise it becomes `items`.
    pub tuples: bool,
    /// Accepts `allOf`. Otherwise an `allOf` of a single schema is merged, and others are refused.
    pub all_of: bool,
    /// The values of `format` that the server accepts; `None` if it accepts any. Others are removed.
    pub formats: Option<&'static [&'static str]>,
    /// Keywords that the server does not accept, in groups. They are removed, so that more values become valid.
    pub without: &'static [&'static [&'static str]],
    /// The form of a `pattern`, if patterns are accepted.
    pub patterns: Patterns,
    /// The largest `minItems`, if there is one.
    pub max_min_items: Option<u64>,
    /// Requires every object to be closed by `additionalProperties: false`: maps are refused.
    pub closed: bool,
    /// Requires every property of an object to be required.
    pub all_required: bool,
    /// Requires every array to describe its elements, and every schema to have a type.
    pub typed: bool,
    /// Requires every object to have a required property.
    pub one_required: bool,
    /// Requires objects to have `properties` and arrays to have `items`. Empty ones are added.
    pub members_listed: bool,
    /// Requires the root to be `"type": "object"`, without `anyOf`, `oneOf`, `allOf`, `enum` or `not`.
    pub object_root: bool,
}

/// The targets that `$ref` may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum References {
    /// Any subschema.
    Any,
    /// Any subschema except the root (`#`), which is then repeated in `$defs`.
    NotRoot,
    /// None: the target replaces the reference. A recursive schema is refused.
    Inlined,
}

/// The form of a `pattern`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patterns {
    /// Any regular expression of JSON Schema.
    Any,
    /// The pattern must match the complete text, from `^` to `$`, without classes such as `\d`: llama.cpp's grammars.
    Whole,
    /// The pattern matches the complete text, but has no `^`, `$` or lookahead: Cohere.
    Bare,
}

/// A server's dialects, for schemas that it enforces and for those that it only shows to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialects {
    /// For responses with `strict`.
    pub strict: Dialect,
    /// For responses without `strict`; the same as `strict` if the server enforces every response.
    pub loose: Dialect,
    /// For tools with `strict`.
    pub strict_tools: Dialect,
    /// For tools without `strict`.
    pub loose_tools: Dialect,
}

/// Keywords that the grammars of most servers lack.
const CONDITIONS: &[&str] = &[
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
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
];

/// Bounds of numbers.
const RANGES: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

/// Bounds of array lengths.
const SIZES: &[&str] = &["minItems", "maxItems"];

impl Dialect {
    /// All of JSON Schema.
    pub const ANY: Dialect = Dialect {
        one_of: true,
        constants: true,
        defaults: true,
        type_lists: true,
        references: References::Any,
        beside_references: true,
        tuples: true,
        all_of: true,
        formats: None,
        without: &[],
        patterns: Patterns::Any,
        max_min_items: None,
        closed: false,
        all_required: false,
        typed: false,
        one_required: false,
        members_listed: false,
        object_root: false,
    };

    /// The common part of the strict modes of OpenAI, Anthropic and their followers.
    const STRICT: Dialect = Dialect {
        one_of: false,
        tuples: false,
        without: &[CONDITIONS],
        closed: true,
        typed: true,
        ..Dialect::ANY
    };

    /// OpenAI's strict mode. Source: its guide "Structured outputs"; recordings show formats of any name, `$defs` and
    /// bounds.
    pub const OPENAI_STRICT: Dialect = Dialect {
        constants: false,
        defaults: false,
        beside_references: false,
        all_of: false,
        all_required: true,
        members_listed: true,
        object_root: true,
        ..Dialect::STRICT
    };

    /// OpenAI's tools without `strict`. It refuses an object without `properties`, an array without `items`, and a
    /// root without a type or with a choice (reports of 400s: `object schema missing properties`, `array schema
    /// missing items`).
    pub const OPENAI_TOOLS: Dialect = Dialect {
        members_listed: true,
        object_root: true,
        ..Dialect::ANY
    };

    /// Cerebras' strict mode: OpenAI's without lists of types, patterns, formats, array lengths and recursion.
    pub const CEREBRAS_STRICT: Dialect = Dialect {
        type_lists: false,
        references: References::Inlined,
        formats: Some(&[]),
        all_required: false,
        without: &[CONDITIONS, SIZES, &["pattern"]],
        ..Dialect::OPENAI_STRICT
    };

    /// Anthropic's structured outputs and strict tools, at Anthropic and at Bedrock. Source: the guide "Structured
    /// outputs"; recordings show that constants, `anyOf`, `allOf`, references and lists of types are accepted and
    /// recursion is refused.
    pub const ANTHROPIC_STRICT: Dialect = Dialect {
        references: References::Inlined,
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
        without: &[CONDITIONS, RANGES, &["multipleOf", "maxItems"]],
        max_min_items: Some(1),
        ..Dialect::STRICT
    };

    /// Anthropic's tools without `strict`: the root must have `"type": "object"` and no choice (reports of 400s:
    /// `input_schema does not support oneOf, allOf, or anyOf at the top level`).
    pub const ANTHROPIC_TOOLS: Dialect = Dialect {
        object_root: true,
        ..Dialect::ANY
    };

    /// Gemini's `responseJsonSchema` and `parametersJsonSchema`: unknown keywords are ignored, but no keyword may be
    /// next to `$ref`.
    pub const GEMINI: Dialect = Dialect {
        beside_references: false,
        ..Dialect::ANY
    };

    /// Gemini's OpenAI-compatible API: `type` is one string, and `const` is unsupported.
    pub const GEMINI_OPENAI: Dialect = Dialect {
        one_of: false,
        constants: false,
        type_lists: false,
        ..Dialect::GEMINI
    };

    /// xAI's structured outputs. Source: its guide, which lists unsupported keywords.
    pub const XAI_STRICT: Dialect = Dialect {
        all_of: false,
        without: &[
            SIZES,
            &["minLength", "maxLength", "minContains", "maxContains"],
        ],
        ..Dialect::ANY
    };

    /// Mistral's strict mode: objects are closed.
    pub const MISTRAL_STRICT: Dialect = Dialect {
        one_of: false,
        closed: true,
        ..Dialect::ANY
    };

    /// Cohere's responses and strict tools. Source: the guide "Structured outputs": the root is an object, every
    /// object has a required property, and `allOf`, `oneOf`, ranges and lengths are unsupported; four formats are
    /// supported, and patterns without `^` and `$`.
    pub const COHERE_STRICT: Dialect = Dialect {
        one_of: false,
        all_of: false,
        type_lists: false,
        tuples: false,
        formats: Some(&["date-time", "uuid", "date", "time"]),
        without: &[CONDITIONS, RANGES, SIZES],
        patterns: Patterns::Bare,
        one_required: true,
        object_root: true,
        ..Dialect::ANY
    };

    /// llama.cpp's grammars, which Ollama shares: a reference to the root is not resolved, and a pattern matches the
    /// complete text (source code; reports of 400s).
    pub const LLAMA_CPP: Dialect = Dialect {
        references: References::NotRoot,
        patterns: Patterns::Whole,
        ..Dialect::ANY
    };
}

impl Dialects {
    /// All of JSON Schema.
    pub const ANY: Dialects = Dialects::always(Dialect::ANY);

    /// OpenAI and Azure OpenAI.
    pub const OPENAI: Dialects = Dialects {
        loose_tools: Dialect::OPENAI_TOOLS,
        ..Dialects::OPENAI_LIKE
    };

    /// Servers that adopted OpenAI's strict mode.
    pub const OPENAI_LIKE: Dialects = Dialects::with_strict(Dialect::OPENAI_STRICT);

    /// Cerebras.
    pub const CEREBRAS: Dialects = Dialects::with_strict(Dialect::CEREBRAS_STRICT);

    /// Anthropic: every response is enforced, tools only if they are strict.
    pub const ANTHROPIC: Dialects = Dialects {
        loose: Dialect::ANTHROPIC_STRICT,
        loose_tools: Dialect::ANTHROPIC_TOOLS,
        ..Dialects::with_strict(Dialect::ANTHROPIC_STRICT)
    };

    /// Bedrock: as Anthropic, but models of other vendors accept other tool schemas.
    pub const BEDROCK: Dialects = Dialects {
        loose_tools: Dialect::ANY,
        ..Dialects::ANTHROPIC
    };

    /// Gemini and Vertex.
    pub const GEMINI: Dialects = Dialects::always(Dialect::GEMINI);

    /// Gemini's OpenAI-compatible API.
    pub const GEMINI_OPENAI: Dialects = Dialects::always(Dialect::GEMINI_OPENAI);

    /// xAI.
    pub const XAI: Dialects = Dialects::with_strict(Dialect::XAI_STRICT);

    /// Mistral.
    pub const MISTRAL: Dialects = Dialects::with_strict(Dialect::MISTRAL_STRICT);

    /// Cohere: every response is enforced, tools only if they are strict.
    pub const COHERE: Dialects = Dialects {
        loose: Dialect::COHERE_STRICT,
        ..Dialects::with_strict(Dialect::COHERE_STRICT)
    };

    /// llama.cpp and LM Studio, which make a grammar of every schema.
    pub const LLAMA_CPP: Dialects = Dialects::always(Dialect::LLAMA_CPP);

    /// Ollama, which makes a grammar of the response schema only.
    pub const OLLAMA: Dialects = Dialects {
        strict_tools: Dialect::ANY,
        loose_tools: Dialect::ANY,
        ..Dialects::LLAMA_CPP
    };

    /// The same dialect with and without `strict`.
    #[must_use]
    pub const fn always(dialect: Dialect) -> Dialects {
        Dialects {
            strict: dialect,
            loose: dialect,
            strict_tools: dialect,
            loose_tools: dialect,
        }
    }

    /// A dialect for `strict` only; without it all of JSON Schema.
    #[must_use]
    pub const fn with_strict(strict: Dialect) -> Dialects {
        Dialects {
            strict,
            strict_tools: strict,
            ..Dialects::always(Dialect::ANY)
        }
    }
}
