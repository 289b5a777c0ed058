use std::sync::Arc;
use unifiedai::{
    provider::{
        Anthropic, AwsCredentials, Bedrock, Cohere, Gemini, GeminiInteractions, Ollama, OpenAiChat,
        OpenAiResponses, Provider,
    },
    transport::testing::provider_for_recording,
};

/// A text that no output of the library may contain.
pub const CANARY: &str = "canary-0123456789abcdef";

/// Every API: a recorded provider's name and dialect. Seeds name an API by its letter: `a` is the first.
pub const WIRES: &[(&str, &str)] = &[
    ("openai", "openai-chat"),
    ("cerebras", "openai-chat"),
    ("bedrock", "bedrock-converse"),
    ("anthropic", "anthropic-messages"),
    ("gemini", "gemini"),
    ("openai", "openai-responses"),
    ("cohere", "cohere-v2"),
    ("ollama", "ollama"),
    ("mistral", "openai-chat"),
    ("gemini", "gemini-interactions"),
];

/// The API of a letter, or of any byte. `None` if this version does not support it.
pub fn wire(letter: u8) -> Option<Arc<dyn Provider>> {
    let (name, dialect) = WIRES[usize::from(letter.wrapping_sub(b'a')) % WIRES.len()];
    provider_for_recording(name, dialect).ok()
}

/// Providers with a key, for encoding requests.
pub fn keyed(letter: u8) -> Arc<dyn Provider> {
    match letter.wrapping_sub(b'a') % 11 {
        0 => Arc::new(OpenAiChat::cerebras(CANARY).unwrap()),
        1 => {
            let server = OpenAiChat::custom("https://models.example/v1");
            Arc::new(server.api_key(CANARY).unwrap().build().unwrap())
        }
        2 => {
            let bedrock = Bedrock::builder().region("eu-west-3").api_key(CANARY);
            Arc::new(bedrock.unwrap().build().unwrap())
        }
        3 => Arc::new(Anthropic::new(CANARY).unwrap()),
        4 => Arc::new(Gemini::new(CANARY).unwrap()),
        5 => {
            let credentials = AwsCredentials::new("AKIDEXAMPLE", CANARY, None).unwrap();
            let bedrock = Bedrock::builder()
                .region("us-east-1")
                .credentials(credentials);
            Arc::new(bedrock.build().unwrap())
        }
        6 => Arc::new(OpenAiResponses::new(CANARY).unwrap()),
        7 => Arc::new(Cohere::new(CANARY).unwrap()),
        8 => {
            let server = Ollama::builder().base_url("https://models.example");
            Arc::new(server.api_key(CANARY).unwrap().build().unwrap())
        }
        10 => Arc::new(GeminiInteractions::new(CANARY).unwrap()),
        _ => Arc::new(OpenAiChat::azure("resource", "deployment", CANARY).unwrap()),
    }
}
