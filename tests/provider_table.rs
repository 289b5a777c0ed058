//! The table of providers in the README says what the library does: each cell is a request that is encoded, or refused before it is sent.
#![cfg(feature = "bedrock")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop"
)]

use std::{fmt::Write, sync::Arc};
use unifiedai::{
    ChatRequest, ContentPart, EmbedRequest, JsonSchema, Media, ReasoningEffort, ResponseFormat,
    Tool,
    provider::{self, OpenAiChat, Provider, openai_chat::profiles},
    provider_batch::BatchCall,
};

/// A row: its title in the table, and the name of a provider that stands for it.
const ROWS: [(&str, &str); 27] = [
    ("OpenAI", "openai"),
    ("OpenAI Responses", "openai-responses"),
    ("Azure OpenAI", "azure"),
    ("Anthropic", "anthropic"),
    ("Anthropic on Vertex AI", "vertex-anthropic"),
    ("Gemini", "gemini"),
    ("Gemini on Vertex AI", "vertex"),
    ("Gemini Interactions", "gemini-interactions"),
    ("Gemini Interactions on Vertex AI", "vertex-interactions"),
    ("Amazon Bedrock", "bedrock"),
    ("Cohere", "cohere"),
    ("Cerebras", "cerebras"),
    ("Groq", "groq"),
    ("Mistral", "mistral"),
    ("DeepSeek", "deepseek"),
    ("xAI", "xai"),
    ("Moonshot", "moonshot"),
    ("Z.ai", "zai"),
    ("Alibaba", "alibaba"),
    ("Together", "together"),
    ("Fireworks", "fireworks"),
    ("Perplexity", "perplexity"),
    ("OpenRouter", "openrouter"),
    ("Ollama", "ollama"),
    ("llama.cpp", "llama-cpp"),
    ("vLLM", "vllm"),
    ("`OpenAiChat::custom`", CUSTOM),
];

/// No name: the constructor for servers without a profile.
const CUSTOM: &str = "custom";

#[test]
fn the_table_of_the_readme_is_what_the_providers_encode() {
    let mut table = String::from(
        "| | tools | parallel calls off | JSON schema | pictures | documents | reasoning effort | embeddings | list of models | own batches | token count |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (title, name) in ROWS {
        let url = "http://127.0.0.1:1";
        let provider: Arc<dyn Provider> = match name {
            CUSTOM => Arc::new(OpenAiChat::custom(url).build().unwrap()),
            // Its batches belong to an account.
            "fireworks" => {
                let builder = OpenAiChat::builder().profile(profiles::FIREWORKS);
                Arc::new(
                    builder
                        .url_param("account", "a")
                        .base_url(url)
                        .build()
                        .unwrap(),
                )
            }
            name => provider::from_env(name, Some(url)).unwrap(),
        };
        let cells = cells(&*provider).map(|can| if can { "yes" } else { "–" });
        writeln!(table, "| {title} | {} |", cells.join(" | ")).unwrap();
    }
    let readme = include_str!("../README.md");
    assert!(
        readme.contains(&table),
        "the README has another table than this:\n{table}"
    );
}

fn cells(provider: &dyn Provider) -> [bool; 10] {
    let request = || ChatRequest::new("m").user("Hello.");
    let schema = serde_json::json!({
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": false,
    });
    let tool = || request().tool(Tool::function("weather", "The weather", &schema).unwrap());
    let with = |part| ChatRequest::new("m").user_parts(vec![part, "What is it?".into()]);
    // Some want a name for a document, others take none.
    let document = |name: Option<&str>| {
        let media = Media::inline("application/pdf", b"%PDF-1.4".as_slice());
        let name = name.map(str::to_owned);
        with(ContentPart::Document { media, name })
    };
    let chats = [
        tool(),
        tool().parallel_tool_calls(false),
        request().response_format(ResponseFormat::JsonSchema(
            JsonSchema::new("place", &schema).unwrap(),
        )),
        with(ContentPart::image("image/png", b"\x89PNG".as_slice())),
        document(Some("paper")),
        document(None),
        request().reasoning_effort(ReasoningEffort::Low),
    ];
    let [tools, parallel, schema, pictures, named, unnamed, reasoning] = chats.map(|chat| {
        // A warning says that something of the request was left out.
        provider
            .encode_chat(&chat)
            .is_ok_and(|encoded| encoded.warnings.is_empty())
    });
    let documents = named || unnamed;
    // Bedrock's models have a form each.
    let model = match provider.name() {
        "bedrock" => "amazon.titan-embed-text-v2:0",
        _ => "m",
    };
    let embeddings = provider
        .encode_embed(&EmbedRequest::new(model).text("Hi."), 0)
        .is_ok();
    let models = provider.encode_models(None).is_ok();
    let list = BatchCall::List(None);
    let batches = provider
        .batch_api()
        .is_some_and(|api| api.encode_call(&list).is_ok());
    let tokens = provider.count_tokens(&request()).is_ok();
    [
        tools, parallel, schema, pictures, documents, reasoning, embeddings, models, batches,
        tokens,
    ]
}
