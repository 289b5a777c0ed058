//! Which part of JSON Schema a server takes, as data.

/// Which part of JSON Schema a server takes. A new server is a new value of this type and a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialect {
    /// `oneOf`. Elsewhere it becomes `anyOf`, and a `oneOf` of constants an `enum`.
    pub one_of: bool,
    /// `const`. Elsewhere it becomes an `enum` of one value.
    pub constants: bool,
    /// `default`. Elsewhere it is removed.
    pub defaults: bool,
    /// A list of types, such as `["string", "null"]`. Elsewhere it becomes `anyOf`.
    pub type_lists: bool,
    /// What `$ref` may refer to.
    pub references: References,
    /// Whether `$ref` may have other members beside it.
    pub beside_references: bool,
    /// `prefixItems`. Elsewhere it becomes `items`.
    pub tuples: bool,
    /// `allOf`. Elsewhere one of a single schema is merged, and others are refused.
    pub all_of: bool,
    /// The values of `format` that it knows; `None` if it takes any. Others are removed.
    pub formats: Option<&'static [&'static str]>,
    /// Keywords that it does not take, in groups. They are removed, with which more becomes valid than before.
    pub without: &'static [&'static [&'static str]],
    /// The form of a `pattern`, where it is taken at all.
    pub patterns: Patterns,
    /// The largest `minItems`, if there is one.
    pub max_min_items: Option<u64>,
    /// Whether every object must be closed by `additionalProperties: false`: maps are refused.
    pub closed: bool,
    /// Whether every member of an object must be required.
    pub all_required: bool,
    /// Whether every list must say what its elements are, and every schema what its type is.
    pub typed: bool,
    /// Whether every object must have a member that is required.
    pub one_required: bool,
    /// Whether an object must have `properties` and a list `items`, if only empty ones. They are added.
    pub members_listed: bool,
    /// Whether the whole must say `"type": "object"`, without `anyOf`, `oneOf`, `allOf`, `enum` or `not`.
    pub object_root: bool,
}

/// What `$ref` may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum References {
    /// Any place of the schema.
    Any,
    /// Any place but the whole schema (`#`), which is then repeated in `$defs`.
    NotRoot,
    /// Nothing: what is referred to is put in its place. A schema that refers to itself is refused.
    Inlined,
}

/// The form of a `pattern`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patterns {
    /// Any regular expression of JSON Schema.
    Any,
    /// The whole text, from `^` to `$`, without classes such as `\d`: llama.cpp's grammars.
    Whole,
    /// The whole text, but without `^`, `$` and looking ahead: Cohere.
    Bare,
}

/// A server's dialects for schemas that it enforces and for those that it only shows to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialects {
    /// For answers with `strict`.
    pub strict: Dialect,
    /// For answers without: that of `strict` where the server enforces every answer.
    pub loose: Dialect,
    /// For tools with `strict`.
    pub strict_tools: Dialect,
    /// For tools without.
    pub loose_tools: Dialect,
}

/// Keywords that grammars of most servers have no place for.
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

/// How large a number may be.
const RANGES: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

/// How many elements a list may have.
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

    /// What the strict modes of OpenAI and Anthropic, and those that took them over, have in common.
    const STRICT: Dialect = Dialect {
        one_of: false,
        tuples: false,
        without: &[CONDITIONS],
        closed: true,
        typed: true,
        ..Dialect::ANY
    };

    /// OpenAI's strict mode (its guide "Structured outputs"; recordings show formats of any name, `$defs` and bounds).
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

    /// OpenAI's tools without `strict`. It refuses an object without `properties` and a list without `items`, and a whole that
    /// says no type or is a choice (reports of 400s: `object schema missing properties`, `array schema missing items`).
    pub const OPENAI_TOOLS: Dialect = Dialect {
        members_listed: true,
        object_root: true,
        ..Dialect::ANY
    };

    /// Cerebras' strict mode: as OpenAI's, without lists of types, patterns, formats, sizes of lists and recursion.
    pub const CEREBRAS_STRICT: Dialect = Dialect {
        type_lists: false,
        references: References::Inlined,
        formats: Some(&[]),
        all_required: false,
        without: &[CONDITIONS, SIZES, &["pattern"]],
        ..Dialect::OPENAI_STRICT
    };

    /// Anthropic's structured outputs and strict tools, at Anthropic and at Bedrock (the guide "Structured outputs"; recordings
    /// show constants, `anyOf`, `allOf`, references and lists of types taken, and recursion refused).
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

    /// Anthropic's tools without `strict`: their schema says `"type": "object"` and is no choice (reports of 400s:
    /// `input_schema does not support oneOf, allOf, or anyOf at the top level`).
    pub const ANTHROPIC_TOOLS: Dialect = Dialect {
        object_root: true,
        ..Dialect::ANY
    };

    /// Gemini's `responseJsonSchema` and `parametersJsonSchema`: keywords that it does not know are ignored, but nothing may be
    /// beside `$ref`.
    pub const GEMINI: Dialect = Dialect {
        beside_references: false,
        ..Dialect::ANY
    };

    /// Gemini behind OpenAI's wire, where `type` is one word and `const` is not known.
    pub const GEMINI_OPENAI: Dialect = Dialect {
        one_of: false,
        constants: false,
        type_lists: false,
        ..Dialect::GEMINI
    };

    /// xAI's structured outputs (its guide names what is not supported).
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

    /// Cohere's answers and strict tools (the guide "Structured outputs": the whole is an object, every object has a required
    /// member, and there are no `allOf`, `oneOf`, ranges, lengths and sizes; of formats four, of patterns no `^` and `$`).
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

    /// llama.cpp's grammars, which Ollama shares: a reference to the whole schema is not resolved, and a pattern is of the whole
    /// text (source; reports of 400s).
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

    /// Those that took over OpenAI's strict mode.
    pub const OPENAI_LIKE: Dialects = Dialects::with_strict(Dialect::OPENAI_STRICT);

    /// Cerebras.
    pub const CEREBRAS: Dialects = Dialects::with_strict(Dialect::CEREBRAS_STRICT);

    /// Anthropic: every answer is enforced, tools where they are strict.
    pub const ANTHROPIC: Dialects = Dialects {
        loose: Dialect::ANTHROPIC_STRICT,
        loose_tools: Dialect::ANTHROPIC_TOOLS,
        ..Dialects::with_strict(Dialect::ANTHROPIC_STRICT)
    };

    /// Bedrock: as Anthropic, but models of others take other schemas of tools.
    pub const BEDROCK: Dialects = Dialects {
        loose_tools: Dialect::ANY,
        ..Dialects::ANTHROPIC
    };

    /// Gemini and Vertex.
    pub const GEMINI: Dialects = Dialects::always(Dialect::GEMINI);

    /// Gemini behind OpenAI's wire.
    pub const GEMINI_OPENAI: Dialects = Dialects::always(Dialect::GEMINI_OPENAI);

    /// xAI.
    pub const XAI: Dialects = Dialects::with_strict(Dialect::XAI_STRICT);

    /// Mistral.
    pub const MISTRAL: Dialects = Dialects::with_strict(Dialect::MISTRAL_STRICT);

    /// Cohere: every answer is enforced, tools where they are strict.
    pub const COHERE: Dialects = Dialects {
        loose: Dialect::COHERE_STRICT,
        ..Dialects::with_strict(Dialect::COHERE_STRICT)
    };

    /// llama.cpp and LM Studio, which make a grammar of every schema.
    pub const LLAMA_CPP: Dialects = Dialects::always(Dialect::LLAMA_CPP);

    /// Ollama, which makes a grammar of an answer's schema alone.
    pub const OLLAMA: Dialects = Dialects {
        strict_tools: Dialect::ANY,
        loose_tools: Dialect::ANY,
        ..Dialects::LLAMA_CPP
    };

    /// One dialect with and without `strict`.
    #[must_use]
    pub const fn always(dialect: Dialect) -> Dialects {
        Dialects {
            strict: dialect,
            loose: dialect,
            strict_tools: dialect,
            loose_tools: dialect,
        }
    }

    /// A dialect for `strict` alone; without it all of JSON Schema.
    #[must_use]
    pub const fn with_strict(strict: Dialect) -> Dialects {
        Dialects {
            strict,
            strict_tools: strict,
            ..Dialects::always(Dialect::ANY)
        }
    }
}
