//! Token counts, cached contents and compactions: what is sent, and what is refused before anything is sent.

use super::wires;
use serde_json::{Value, json};
use std::time::Duration;
use unifiedai::{
    ChatRequest, Error, ErrorKind, Secret, Tool,
    cache::{CacheExpiry, NewCachedContent},
    provider::{
        Anthropic, ApiRequest, Auth, Bedrock, Cohere, Gemini, OpenAiChat, OpenAiResponses, Provider,
    },
};

/// A request with parameters that a count must not have.
fn request(model: &str) -> ChatRequest {
    let schema = json!({"type": "object", "properties": {}});
    ChatRequest::new(model)
        .system("Be brief.")
        .user("Hello!")
        .tool(Tool::function("f", "Does it.", &schema).unwrap())
        .max_tokens(9_u64)
        .stream(true)
}

fn sent<T>(api: &ApiRequest<T>) -> (String, Value) {
    let request = api.request();
    let target = format!("{} {}", request.method(), request.uri());
    let body = match request.body() {
        body if body.is_empty() => Value::Null,
        body => serde_json::from_slice(body).unwrap(),
    };
    (target, body)
}

fn counted(provider: &dyn Provider, model: &str) -> (String, Value) {
    sent(&provider.count_tokens(&request(model)).unwrap())
}

/// The body of the chat without these fields.
fn chat_without(provider: &dyn Provider, model: &str, names: &[&str]) -> Value {
    let encoded = provider.encode_chat(&request(model).stream(false)).unwrap();
    let mut body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    for name in names {
        assert!(
            body.as_object_mut().unwrap().remove(*name).is_some(),
            "{name}"
        );
    }
    body
}

fn token() -> Auth {
    Auth::Bearer(Secret::new("t").unwrap().into())
}

#[test]
fn count_has_the_prompt_of_the_chat_and_nothing_else() {
    let own = Anthropic::new("k").unwrap();
    assert_eq!(
        counted(&own, "claude-x"),
        (
            "POST https://api.anthropic.com/v1/messages/count_tokens".into(),
            chat_without(&own, "claude-x", &["max_tokens"])
        )
    );
    let vertex = Anthropic::builder().vertex("p", "us-east5").unwrap();
    let vertex = vertex.auth(token()).build().unwrap();
    let mut body = chat_without(&vertex, "claude-x", &["max_tokens"]);
    body["model"] = json!("claude-x");
    assert_eq!(
        counted(&vertex, "claude-x"),
        (
            "POST https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/anthropic/models/count-tokens:rawPredict".into(),
            body
        )
    );
    let azure = Anthropic::builder().azure("r").unwrap();
    let azure = azure.api_key("k").unwrap().build().unwrap();
    assert_eq!(
        counted(&azure, "claude-x").0,
        "POST https://r.services.ai.azure.com/anthropic/v1/messages/count_tokens"
    );
    let responses = OpenAiResponses::new("k").unwrap();
    assert_eq!(
        counted(&responses, "gpt-x"),
        (
            "POST https://api.openai.com/v1/responses/input_tokens".into(),
            chat_without(&responses, "gpt-x", &["max_output_tokens"])
        )
    );
    // The chat API has no counter, so the request is counted in the other API's form.
    let chat = OpenAiChat::new("k").unwrap();
    assert_eq!(counted(&chat, "gpt-x"), counted(&responses, "gpt-x"));
}

#[test]
fn gemini_counts_the_complete_request_in_the_form_of_its_host() {
    let own = Gemini::new("k").unwrap();
    let mut body = chat_without(&own, "gemini-x", &[]);
    body["model"] = json!("models/gemini-x");
    assert_eq!(
        counted(&own, "gemini-x"),
        (
            "POST https://generativelanguage.googleapis.com/v1beta/models/gemini-x:countTokens"
                .into(),
            json!({"generateContentRequest": body})
        )
    );
    let vertex = Gemini::builder().vertex("p", "global").unwrap();
    let vertex = vertex.auth(token()).build().unwrap();
    assert_eq!(
        counted(&vertex, "gemini-x"),
        (
            "POST https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/gemini-x:countTokens".into(),
            chat_without(&vertex, "gemini-x", &[])
        )
    );
}

#[test]
fn bedrock_counts_for_the_model_of_an_inference_profile() {
    let bedrock = Bedrock::new("us-east-1", "k").unwrap();
    let model = "us.anthropic.claude-sonnet-4-20250514-v1:0";
    let api = bedrock.count_tokens(&request(model)).unwrap();
    let (target, body) = sent(&api);
    assert_eq!(
        target,
        "POST https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-sonnet-4-20250514-v1%3A0/count-tokens"
    );
    let converse = chat_without(&bedrock, model, &["inferenceConfig"]);
    assert_eq!(body, json!({"input": {"converse": converse}}));
}

#[test]
fn local_servers_and_tokenizers_have_their_own_forms() {
    let messages =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]);
    let (target, body) = counted(&OpenAiChat::vllm().unwrap(), "m");
    assert_eq!(target, "POST http://localhost:8000/tokenize");
    assert_eq!(
        (&body["model"], &body["messages"]),
        (&json!("m"), &messages)
    );
    assert_eq!(
        (body["tools"].is_array(), body.as_object().unwrap().len()),
        (true, 3)
    );
    let (target, body) = counted(&OpenAiChat::llama_cpp().unwrap(), "m");
    assert_eq!(target, "POST http://localhost:8080/apply-template");
    assert_eq!((&body["messages"], body.get("model")), (&messages, None));
    let text = "f\nDoes it.\n{\"type\":\"object\",\"properties\":{}}\nBe brief.\nHello!\n";
    for (provider, target) in [
        (
            Box::new(Cohere::new("k").unwrap()) as Box<dyn Provider>,
            "https://api.cohere.com/v1/tokenize",
        ),
        (
            Box::new(OpenAiChat::xai("k").unwrap()),
            "https://api.x.ai/v1/tokenize-text",
        ),
        (
            Box::new(OpenAiResponses::xai("k").unwrap()),
            "https://api.x.ai/v1/tokenize-text",
        ),
    ] {
        let (url, body) = counted(&*provider, "m");
        assert_eq!(url, format!("POST {target}"));
        assert_eq!(body["model"], "m");
        let words = |text: &str| text.split_whitespace().count();
        assert_eq!(words(body["text"].as_str().unwrap()), words(text));
    }
}

#[test]
fn text_counters_refuse_media() {
    let picture = unifiedai::ContentPart::image("image/png", vec![1]);
    let request = ChatRequest::new("m").user_parts(vec![picture]);
    let error = Cohere::new("k")
        .unwrap()
        .count_tokens(&request)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().contains("media"), "{error}");
}

#[test]
fn provider_without_the_endpoint_is_named() {
    let named = |error: Error, name: &str| {
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        assert!(error.message().contains(&format!("`{name}`")), "{error}");
    };
    for wire in wires() {
        let name = wire.name();
        if ["cerebras", "ollama", "gemini-interactions"].contains(&name) {
            named(wire.count_tokens(&request("m")).unwrap_err(), name);
        } else {
            wire.count_tokens(&request("m")).unwrap();
        }
        if name != "openai-responses" {
            named(wire.compact(&request("m")).unwrap_err(), name);
        }
        assert_eq!(wire.cached_contents().is_some(), name == "gemini", "{name}");
    }
    for profile in unifiedai::provider::openai_chat::profiles::ALL {
        let wire = OpenAiChat::builder()
            .profile(*profile)
            .base_url("http://127.0.0.1:9/v1");
        let wire = wire.build().unwrap();
        let plain = ChatRequest::new("m").user("x");
        if let Err(error) = wire.count_tokens(&plain) {
            named(error, profile.name);
        }
    }
}

#[test]
fn compaction_has_the_conversation_and_the_instructions() {
    let responses = OpenAiResponses::new("k").unwrap();
    let (target, body) = sent(&responses.compact(&request("gpt-x")).unwrap());
    assert_eq!(target, "POST https://api.openai.com/v1/responses/compact");
    assert_eq!(
        body,
        chat_without(&responses, "gpt-x", &["max_output_tokens", "tools"])
    );
}

#[test]
fn cached_content_is_encoded_like_a_chat() {
    let gemini = Gemini::new("k").unwrap();
    let contents = gemini.cached_contents().unwrap();
    let new = NewCachedContent::new(request("gemini-x"))
        .ttl(Duration::from_millis(1500))
        .display_name("d");
    let mut expected = chat_without(&gemini, "gemini-x", &["generationConfig"]);
    expected["model"] = json!("models/gemini-x");
    expected["displayName"] = json!("d");
    expected["ttl"] = json!("1.500000000s");
    let base = "https://generativelanguage.googleapis.com/v1beta";
    assert_eq!(
        sent(&contents.create(&new).unwrap()),
        (format!("POST {base}/cachedContents"), expected)
    );
    let until = CacheExpiry::At("2026-11-30T00:00:00Z".into());
    for name in ["cachedContents/c 1", "c 1"] {
        let path = format!("{base}/cachedContents/c%201");
        assert_eq!(sent(&contents.get(name).unwrap()).0, format!("GET {path}"));
        assert_eq!(
            sent(
                &contents
                    .renew(name, &CacheExpiry::Ttl(Duration::from_secs(60)))
                    .unwrap()
            ),
            (
                format!("PATCH {path}?updateMask=ttl"),
                json!({"ttl": "60s"})
            )
        );
        assert_eq!(
            sent(&contents.renew(name, &until).unwrap()),
            (
                format!("PATCH {path}?updateMask=expireTime"),
                json!({"expireTime": "2026-11-30T00:00:00Z"})
            )
        );
        assert_eq!(
            sent(&contents.delete(name).unwrap()).0,
            format!("DELETE {path}")
        );
    }
    let second = contents.list(Some("a/b")).unwrap();
    assert_eq!(
        sent(&second).0,
        format!("GET {base}/cachedContents?pageSize=1000&pageToken=a%2Fb")
    );
    for name in [
        "",
        "..",
        "files/x",
        "cachedContents/",
        "cachedContents/../models",
        "projects/p/locations/l/cachedContents/1",
    ] {
        let error = contents.get(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}");
    }
}

#[test]
fn vertex_caches_are_inside_of_the_project() {
    let vertex = Gemini::builder().vertex("p", "us-east5").unwrap();
    let vertex = vertex.auth(token()).build().unwrap();
    let contents = vertex.cached_contents().unwrap();
    let base = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5";
    let (target, body) = sent(
        &contents
            .create(&NewCachedContent::new(request("gemini-x")))
            .unwrap(),
    );
    assert_eq!(target, format!("POST {base}/cachedContents"));
    assert_eq!(
        body["model"],
        "projects/p/locations/us-east5/publishers/google/models/gemini-x"
    );
    for name in ["projects/p/locations/us-east5/cachedContents/7", "7"] {
        assert_eq!(
            sent(&contents.get(name).unwrap()).0,
            format!("GET {base}/cachedContents/7")
        );
    }
    assert!(
        contents
            .get("projects/q/locations/us-east5/cachedContents/7")
            .is_err()
    );
}

#[test]
fn request_with_a_cached_content_has_nothing_that_belongs_into_it() {
    let gemini = Gemini::new("k").unwrap();
    let plain = ChatRequest::new("gemini-x")
        .user("x")
        .cached_content("cachedContents/c");
    let encoded = gemini.encode_chat(&plain).unwrap();
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    assert_eq!(body["cachedContent"], "cachedContents/c");
    for (request, what) in [
        (plain.clone().system("s"), "system messages"),
        (
            request("gemini-x").cached_content("cachedContents/c"),
            "system messages",
        ),
        (
            plain.tool(Tool::function("f", "", &json!({})).unwrap()),
            "`tools`",
        ),
    ] {
        let error = gemini.encode_chat(&request.drop_unsupported()).unwrap_err();
        assert!(error.message().contains(what), "{error}");
    }
}
