//! Keys over `http://` to another machine are refused, unless the program or the environment allows them.

use unifiedai::{
    Error, ErrorKind,
    provider::{
        Anthropic, BaseUrl, Bedrock, Cohere, Gemini, GeminiInteractions, Ollama, OpenAiChat,
        OpenAiResponses, Provider, openai_chat::profiles, openai_responses,
    },
};

const URL: &str = "http://vllm:8000/v1";

type Built = Result<Box<dyn Provider>, Error>;

/// Each provider with a key at `URL`, without and with `allow_insecure_http`.
fn built(is_allowed: bool) -> Vec<(&'static str, Built)> {
    macro_rules! build {
        ($builder:expr) => {{
            let builder = $builder.base_url(URL);
            let builder = match is_allowed {
                true => builder.allow_insecure_http(),
                false => builder,
            };
            builder
                .build()
                .map(|provider| Box::new(provider) as Box<dyn Provider>)
        }};
    }
    let chat = |profile| OpenAiChat::builder().profile(profile).api_key("k").unwrap();
    let responses = OpenAiResponses::builder().profile(openai_responses::ResponsesProfile::OPENAI);
    let bedrock = || Bedrock::builder().region("us-east-1");
    let keys = unifiedai::provider::AwsCredentials::new("AKIDEXAMPLE", "secret", None).unwrap();
    vec![
        ("vllm", build!(chat(profiles::VLLM))),
        ("litellm", build!(chat(profiles::LITELLM))),
        (
            "custom",
            build!(OpenAiChat::custom(URL).api_key("k").unwrap()),
        ),
        ("responses", build!(responses.api_key("k").unwrap())),
        (
            "anthropic",
            build!(Anthropic::builder().api_key("k").unwrap()),
        ),
        ("gemini", build!(Gemini::builder().api_key("k").unwrap())),
        (
            "gemini-interactions",
            build!(GeminiInteractions::builder().api_key("k").unwrap()),
        ),
        ("cohere", build!(Cohere::builder().api_key("k").unwrap())),
        ("ollama", build!(Ollama::builder().api_key("k").unwrap())),
        ("bedrock", build!(bedrock().api_key("k").unwrap())),
        ("signed", build!(bedrock().credentials(keys))),
    ]
}

#[test]
fn a_key_over_plain_http_needs_explicit_permission_at_every_provider() {
    for (name, result) in built(false) {
        let Err(error) = result else {
            panic!("{name} was built");
        };
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}");
        let message = error.message();
        for part in [
            "`vllm:8000`",
            "allow_insecure_http()",
            BaseUrl::ALLOW_INSECURE_HTTP,
        ] {
            assert!(message.contains(part), "{name}: {message}");
        }
    }
    for (name, result) in built(true) {
        let provider = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(provider.auth().is_required(), "{name}");
    }
}
