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
    /// Keywords that it does not take. They are removed, with which more becomes valid than before.
    pub without: &'static [&'static str],
    /// The largest `minItems`, if there is one.
    pub most_min_items: Option<u64>,
    /// Whether every object must be closed by `additionalProperties: false`: maps are refused.
    pub closed: bool,
    /// Whether every member of an object must be required.
    pub all_required: bool,
    /// Whether every list must say what its elements are, and every schema what its type is.
    pub typed: bool,
    /// Whether the whole must be an object.
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

/// A server's dialects for schemas that it enforces and for those that it only shows to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialects {
    /// With `strict`, and wherever the server enforces every schema.
    pub strict: Dialect,
    /// Without.
    pub loose: Dialect,
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
        most_min_items: None,
        closed: false,
        all_required: false,
        typed: false,
        object_root: false,
    };

    /// OpenAI's strict mode (its guide "Structured outputs"; recordings show formats of any name, `$defs` and bounds).
    pub const OPENAI_STRICT: Dialect = Dialect {
        one_of: false,
        constants: false,
        defaults: false,
        beside_references: false,
        tuples: false,
        all_of: false,
        without: CONDITIONS,
        closed: true,
        all_required: true,
        typed: true,
        object_root: true,
        ..Dialect::ANY
    };

    /// Cerebras' strict mode: as OpenAI's, without lists of types, patterns, formats, sizes of lists and recursion.
    pub const CEREBRAS_STRICT: Dialect = Dialect {
        type_lists: false,
        references: References::Inlined,
        formats: Some(&[]),
        all_required: false,
        without: &[
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
            "pattern",
            "minItems",
            "maxItems",
        ],
        ..Dialect::OPENAI_STRICT
    };

    /// Anthropic's structured outputs and strict tools, at Anthropic and at Bedrock (the guide "Structured outputs"; recordings
    /// show constants, `anyOf`, `allOf`, references and lists of types taken, and recursion refused).
    pub const ANTHROPIC_STRICT: Dialect = Dialect {
        one_of: false,
        references: References::Inlined,
        tuples: false,
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
        without: &[
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
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
            "maxItems",
        ],
        most_min_items: Some(1),
        closed: true,
        typed: true,
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
        beside_references: false,
        ..Dialect::ANY
    };

    /// xAI's structured outputs (its guide names what is not supported).
    pub const XAI_STRICT: Dialect = Dialect {
        all_of: false,
        without: &[
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minContains",
            "maxContains",
        ],
        ..Dialect::ANY
    };

    /// Mistral's strict mode: objects are closed.
    pub const MISTRAL_STRICT: Dialect = Dialect {
        one_of: false,
        closed: true,
        ..Dialect::ANY
    };

    /// llama.cpp's grammars, which Ollama shares: a reference to the whole schema is not resolved.
    pub const LLAMA_CPP: Dialect = Dialect {
        references: References::NotRoot,
        ..Dialect::ANY
    };
}

impl Dialects {
    /// All of JSON Schema.
    pub const ANY: Dialects = Dialects::always(Dialect::ANY);

    /// OpenAI, and those that took its strict mode over.
    pub const OPENAI: Dialects = Dialects::with_strict(Dialect::OPENAI_STRICT);

    /// Cerebras.
    pub const CEREBRAS: Dialects = Dialects::with_strict(Dialect::CEREBRAS_STRICT);

    /// Anthropic's tools: strict ones only where asked for.
    pub const ANTHROPIC: Dialects = Dialects::with_strict(Dialect::ANTHROPIC_STRICT);

    /// xAI.
    pub const XAI: Dialects = Dialects::with_strict(Dialect::XAI_STRICT);

    /// Mistral.
    pub const MISTRAL: Dialects = Dialects::with_strict(Dialect::MISTRAL_STRICT);

    /// One dialect with and without `strict`.
    #[must_use]
    pub const fn always(dialect: Dialect) -> Dialects {
        Dialects {
            strict: dialect,
            loose: dialect,
        }
    }

    /// A dialect for `strict` alone; without it all of JSON Schema.
    #[must_use]
    pub const fn with_strict(strict: Dialect) -> Dialects {
        Dialects {
            strict,
            loose: Dialect::ANY,
        }
    }
}
