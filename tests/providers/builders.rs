//! All providers are made in the same way: `new`, `builder` with the same options, and the same errors.

use http::Request;
use unifiedai::{
    ChatRequest, ContentPart, EmbedRequest, Error, ErrorKind,
    provider::{
        Anthropic, Auth, Bedrock, BuildProvider, Cohere, Gemini, GeminiInteractions, Ollama,
        OpenAiChat, OpenAiResponses, Provider, ProviderBuilder, openai_chat::profiles,
    },
};

/// What a provider of this builder sends, with all options that every builder has.
fn requests<P: BuildProvider>(builder: ProviderBuilder<P>) -> Vec<Request<bytes::Bytes>> {
    let provider = builder
        .api_key("k")
        .unwrap()
        .base_url("https://proxy.test/v9")
        .name("mine")
        .header("x-team", "search")
        .unwrap()
        .query("tenant", "a b")
        .query("tenant", "t")
        .build()
        .unwrap();
    assert_eq!(provider.name(), "mine");
    assert!(provider.auth().is_required());
    let chat = ChatRequest::new("m").user("hi");
    let mut all = vec![
        provider.encode_chat(&chat).unwrap().request,
        provider.encode_chat(&chat.stream(true)).unwrap().request,
        provider.encode_models(None).unwrap(),
        provider.encode_check().unwrap(),
    ];
    all.extend(provider.encode_models(Some("next")));
    all.extend(provider.encode_model("m"));
    let texts = EmbedRequest::new("m").text("hi");
    all.extend(provider.encode_embed(&texts, 0).map(|e| e.encoded.request));
    all
}

#[test]
fn every_request_has_the_builder_s_headers_and_query() {
    let all = [
        requests(Anthropic::builder()),
        requests(Bedrock::builder().region("us-east-1")),
        requests(Cohere::builder()),
        requests(Gemini::builder()),
        requests(GeminiInteractions::builder()),
        requests(Ollama::builder()),
        requests(OpenAiChat::builder()),
        requests(OpenAiResponses::builder()),
    ];
    for request in all.iter().flatten() {
        let uri = request.uri();
        assert!(
            uri.to_string().starts_with("https://proxy.test/v9/"),
            "{uri}"
        );
        let query = uri.query().unwrap_or_default();
        let pairs: Vec<&str> = query.split('&').collect();
        assert_eq!(pairs.last(), Some(&"tenant=t"), "{uri}");
        assert!(!query.contains('?'), "{uri}");
        assert_eq!(request.headers()["x-team"], "search", "{uri}");
        assert!(request.headers().contains_key("accept"), "{uri}");
    }
}

fn missing<P: BuildProvider>(builder: ProviderBuilder<P>) -> Error {
    builder.build().err().unwrap()
}

#[test]
fn missing_settings_have_the_same_error_at_every_provider() {
    for (error, variable) in [
        (missing(Anthropic::builder()), "ANTHROPIC_API_KEY"),
        (
            missing(Anthropic::builder().azure("r").unwrap()),
            "ANTHROPIC_FOUNDRY_API_KEY",
        ),
        (
            missing(Anthropic::builder().vertex("p", "global").unwrap()),
            "GOOGLE_OAUTH_ACCESS_TOKEN",
        ),
        (
            missing(Bedrock::builder().region("us-east-1")),
            "AWS_BEARER_TOKEN_BEDROCK",
        ),
        (missing(Cohere::builder()), "COHERE_API_KEY"),
        (missing(Gemini::builder()), "GEMINI_API_KEY"),
        (missing(GeminiInteractions::builder()), "GEMINI_API_KEY"),
        (
            missing(GeminiInteractions::builder().vertex("p", "global").unwrap()),
            "GOOGLE_OAUTH_ACCESS_TOKEN",
        ),
        (missing(OpenAiChat::builder()), "OPENAI_API_KEY"),
        (
            missing(OpenAiChat::builder().profile(profiles::GROQ)),
            "GROQ_API_KEY",
        ),
        (missing(OpenAiResponses::builder()), "OPENAI_API_KEY"),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert_eq!(error.code(), Some("missing_key"), "{error}");
        for part in [" needs ", "pass ", variable, "`from_env`"] {
            assert!(error.message().contains(part), "{error}");
        }
    }
    let region = missing(Bedrock::builder());
    assert!(region.message().contains("`region`"), "{region}");
    let open = missing(OpenAiChat::builder().profile(profiles::DATABRICKS));
    assert!(open.message().contains("url_param(\"workspace\""), "{open}");
}

#[test]
fn a_new_provider_uses_its_own_server() {
    let hosts = [
        (
            Anthropic::new("k").unwrap().base_url().clone(),
            "api.anthropic.com",
        ),
        (
            Bedrock::new("eu-west-3", "k").unwrap().base_url().clone(),
            "bedrock-runtime.eu-west-3.amazonaws.com",
        ),
        (
            Cohere::new("k").unwrap().base_url().clone(),
            "api.cohere.com",
        ),
        (
            Gemini::new("k").unwrap().base_url().clone(),
            "generativelanguage.googleapis.com",
        ),
        (
            GeminiInteractions::new("k").unwrap().base_url().clone(),
            "generativelanguage.googleapis.com",
        ),
        (Ollama::new("k").unwrap().base_url().clone(), "ollama.com"),
        (
            OpenAiChat::new("k").unwrap().base_url().clone(),
            "api.openai.com",
        ),
        (
            OpenAiResponses::new("k").unwrap().base_url().clone(),
            "api.openai.com",
        ),
        (
            OpenAiChat::groq("k").unwrap().base_url().clone(),
            "api.groq.com",
        ),
        (OpenAiChat::vllm().unwrap().base_url().clone(), "localhost"),
    ];
    for (url, host) in hosts {
        assert_eq!(url.host(), host);
    }
    let azure = OpenAiResponses::azure("res", "k").unwrap();
    assert_eq!(
        azure.base_url().as_str(),
        "https://res.openai.azure.com/openai/v1"
    );
    let snowflake = OpenAiChat::snowflake("acc", "k").unwrap();
    assert_eq!(snowflake.base_url().host(), "acc.snowflakecomputing.com");
    assert!(OpenAiChat::snowflake("evil/", "k").is_err());
    assert!(OpenAiChat::groq("a b").is_err());
}

#[test]
fn the_last_way_to_authenticate_counts() {
    let none = OpenAiChat::custom("https://x.test/v1")
        .api_key("k")
        .unwrap()
        .auth(Auth::None);
    assert!(!none.build().unwrap().auth().is_required());
    // Where a key goes is known once the profile is.
    let azure = OpenAiChat::builder()
        .api_key("k")
        .unwrap()
        .profile(profiles::AZURE_V1)
        .url_param("resource", "r")
        .build()
        .unwrap();
    assert!(matches!(azure.auth(), Auth::Header(name, _) if name == "api-key"));
}

// Each limit is documented or recorded: the sources are next to the data.
#[test]
fn media_that_the_server_refuses_for_their_size_are_not_sent() {
    let image = |bytes| ContentPart::image("image/png", vec![0; bytes]);
    let document = |kind: &str, bytes| ContentPart::document("a", kind, vec![0; bytes]);
    let ask = |part| ChatRequest::new("m").user_parts(vec![part, "look".into()]);
    let anthropic = Anthropic::new("k").unwrap();
    let bedrock = Bedrock::new("us-east-1", "k").unwrap();
    let groq = OpenAiChat::groq("k").unwrap();
    let openai = OpenAiChat::new("k").unwrap();
    let proxy = Anthropic::builder().base_url("https://proxy.test");
    let proxy = proxy.build().unwrap();
    let cases: [(&dyn Provider, ContentPart, Option<&str>); 8] = [
        (&anthropic, image(3_932_160), None),
        (
            &anthropic,
            image(3_932_161),
            Some("5242884 bytes in base64"),
        ),
        (&anthropic, document("application/pdf", 4_000_000), None),
        (&proxy, image(4_000_000), None),
        (
            &bedrock,
            document("text/csv", 4_718_593),
            Some("4718593 bytes"),
        ),
        (&bedrock, document("application/pdf", 4_718_593), None),
        (&groq, image(3_145_729), Some("4194304")),
        (&openai, image(3_145_729), None),
    ];
    for (provider, part, refusal) in cases {
        let encoded = provider.encode_chat(&ask(part));
        match refusal {
            None => assert!(encoded.is_ok(), "{}", provider.name()),
            Some(what) => {
                let error = encoded.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidRequest);
                assert_eq!(error.code(), Some("media_too_large"));
                for part in ["`messages[0].content[0]`", what, provider.name()] {
                    assert!(error.message().contains(part), "{error}");
                }
            }
        }
    }
}
