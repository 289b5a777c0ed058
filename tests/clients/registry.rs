use crate::support::{cerebras, named, question, server};
use unifiedai::{Client, ErrorKind, provider::openai_chat::profiles, transport::UreqTransport};

#[test]
fn a_models_prefix_selects_the_provider_and_is_not_sent() {
    let (first, second) = (server(), server());
    let client = Client::new(UreqTransport::new(), cerebras(&first))
        .with_provider(named(&second, "other"))
        .unwrap();
    let mut request = question();
    assert_eq!(
        client
            .chat(request.clone())
            .unwrap()
            .provider_metadata
            .provider,
        "cerebras"
    );
    request.model = "other.gpt-oss-120b".into();
    let response = client.chat(request.clone()).unwrap();
    assert_eq!(response.provider_metadata.provider, "other");
    assert_eq!(response.model, "gpt-oss-120b");
    assert_eq!((first.served(), second.served()), (1, 1));

    let chosen = client.provider("other").unwrap();
    request.model = "cerebras.gpt-oss-120b".into();
    assert_eq!(
        chosen.chat(request).unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
    assert!(chosen.chat(question()).is_ok());
    assert_eq!(second.served(), 2);
    assert_eq!(
        client.providers().names().collect::<Vec<_>>(),
        ["cerebras", "other"]
    );
}

#[test]
fn a_model_of_the_default_provider_selects_only_that_provider() {
    let (first, second) = (server(), server());
    let mantle = || {
        unifiedai::provider::OpenAiChat::builder()
            .profile(profiles::BEDROCK_MANTLE)
            .base_url(first.base_url())
            .build()
            .unwrap()
    };
    let ask = |client: &Client, model: &str| {
        let mut request = question();
        request.model = model.into();
        client.chat(request)
    };
    let client = Client::new(UreqTransport::new(), mantle())
        .with_provider(named(&second, "openai"))
        .unwrap()
        .with_provider(named(&second, "groq"))
        .unwrap();
    for own in ["openai.gpt-oss-120b", "us.anthropic.claude-haiku-4-5"] {
        assert_eq!(ask(&client, own).unwrap().model, own);
    }
    assert_eq!((first.served(), second.served()), (2, 0));
    let response = ask(&client, "groq.llama-3.3-70b").unwrap();
    assert_eq!(response.model, "llama-3.3-70b");
    let openai = client.provider("openai").unwrap();
    assert_eq!(ask(&openai, "gpt-5-mini").unwrap().model, "gpt-5-mini");
    assert_eq!((first.served(), second.served()), (2, 2));

    // With Bedrock second, an ambiguous name is refused, and nothing is sent.
    let client = Client::new(UreqTransport::new(), named(&second, "openai"))
        .with_provider(mantle())
        .unwrap();
    let error = ask(&client, "openai.gpt-oss-120b").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let message = error.message();
    assert!(
        message.contains("`bedrock-mantle.openai.gpt-oss-120b`"),
        "{message}"
    );
    assert!(message.contains("`provider(\"openai\")`"), "{message}");
    let response = ask(&client, "bedrock-mantle.openai.gpt-oss-120b").unwrap();
    assert_eq!(response.model, "openai.gpt-oss-120b");
    assert_eq!((first.served(), second.served()), (3, 2));
}

#[test]
fn a_name_that_a_proxy_may_have_does_not_select_a_vendor() {
    use unifiedai::provider::{Anthropic, OpenAiChat};
    let (proxy, vendor) = (server(), server());
    let ask = |client: &Client, model: &str| {
        let mut request = question();
        request.model = model.into();
        client.chat(request)
    };
    let anthropic = || {
        let builder = Anthropic::builder().base_url(vendor.origin());
        builder.build().unwrap()
    };
    let litellm = OpenAiChat::builder()
        .profile(profiles::LITELLM)
        .base_url(proxy.base_url());
    let custom = OpenAiChat::custom(proxy.base_url()).name("mine");
    for first in [litellm.build().unwrap(), custom.build().unwrap()] {
        let name = unifiedai::provider::Provider::name(&first).to_owned();
        let client = Client::new(UreqTransport::new(), first)
            .with_provider(anthropic())
            .unwrap()
            .with_provider(named(&vendor, "groq"))
            .unwrap();
        let before = (proxy.served(), vendor.served());
        let error = ask(&client, "anthropic.claude-x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        let message = error.message();
        assert!(
            message.contains(&format!("`{name}.anthropic.claude-x`")),
            "{message}"
        );
        assert!(message.contains("`provider(\"anthropic\")`"), "{message}");
        assert_eq!((proxy.served(), vendor.served()), before);
        let own = ask(&client, &format!("{name}.anthropic.claude-x")).unwrap();
        assert_eq!(own.model, "anthropic.claude-x");
        // A provider without models of its own can only be meant itself.
        let other = ask(&client, "groq.llama-3.3-70b").unwrap();
        assert_eq!(other.provider_metadata.provider, "groq");
        assert_eq!(
            (proxy.served(), vendor.served()),
            (before.0 + 1, before.1 + 1)
        );
    }
    // As a further provider, the prefix of a vendor selects that vendor.
    let litellm = OpenAiChat::builder()
        .profile(profiles::LITELLM)
        .base_url(proxy.base_url());
    let client = Client::new(UreqTransport::new(), cerebras(&vendor))
        .with_provider(litellm.build().unwrap())
        .unwrap()
        .with_provider(named(&vendor, "openai"))
        .unwrap();
    let response = ask(&client, "openai.gpt-5-mini").unwrap();
    assert_eq!(response.model, "gpt-5-mini");
    assert_eq!(response.provider_metadata.provider, "openai");
}

#[test]
fn an_unknown_prefix_stays_with_the_default_provider_and_a_known_one_does_not() {
    let first = server();
    let client = Client::new(UreqTransport::new(), named(&first, "openai"));
    let ask = |model: &str| {
        let mut request = question();
        request.model = model.into();
        client.chat(request)
    };
    for own in [
        "foo.bar",
        "foo/bar",
        "anthropic/claude-x",
        "us.anthropic.claude-x",
        "gpt-4.1",
    ] {
        assert_eq!(ask(own).unwrap().model, own);
    }
    let served = first.served();
    for missing in [
        "groq.llama-3.3-70b",
        "openrouter.auto",
        "bedrock.x",
        "vllm.x",
        "azure-v1.x",
    ] {
        let error = ask(missing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(
            error.message().contains("has no provider named `"),
            "{error}"
        );
    }
    assert_eq!(first.served(), served);
    assert_eq!(ask("openai.groq.llama").unwrap().model, "groq.llama");
}

#[test]
fn the_id_of_another_providers_model_is_refused_by_the_default_one() {
    use unifiedai::provider::Bedrock;
    let (first, second) = (server(), server());
    let bedrock = || {
        let builder = Bedrock::builder()
            .region("us-east-1")
            .base_url(second.origin());
        builder.api_key("key").unwrap().build().unwrap()
    };
    let client = Client::new(UreqTransport::new(), named(&first, "openai"))
        .with_provider(bedrock())
        .unwrap();
    let ask = |client: &Client, model: &str| {
        let mut request = question();
        request.model = model.into();
        client.chat(request)
    };
    for model in [
        "amazon.nova-lite-v1:0",
        "anthropic.claude-x",
        "us.anthropic.claude-x",
        "Anthropic.claude-x",
    ] {
        let error = ask(&client, model).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        let message = error.message();
        assert!(message.contains(&format!("`bedrock.{model}`")), "{message}");
        assert!(message.contains("`provider(\"openai\")`"), "{message}");
    }
    assert_eq!((first.served(), second.served()), (0, 0));
    let openai = client.provider("openai").unwrap();
    assert_eq!(ask(&openai, "amazon.x").unwrap().model, "amazon.x");
    assert_eq!(ask(&client, "gpt-4.1").unwrap().model, "gpt-4.1");

    // A prefix in other case means the same provider, present or not.
    assert_eq!((first.served(), second.served()), (2, 0));
    ask(&client, "BEDROCK.amazon.nova-lite-v1:0").unwrap();
    assert_eq!((first.served(), second.served()), (2, 1));
    let error = ask(&client, "Groq.llama-3.3-70b").unwrap_err();
    assert!(
        error.message().contains("no provider named `Groq`"),
        "{error}"
    );
    assert_eq!((first.served(), second.served()), (2, 1));
}

#[test]
fn similar_names_and_missing_features_are_named() {
    let error = Client::from_env(UreqTransport::new(), &["antropic"]).unwrap_err();
    assert!(
        error.message().contains("did you mean `anthropic`"),
        "{error}"
    );
}

#[test]
fn chat_with_stream_set_reads_a_stream() {
    let server = server();
    let client = Client::new(UreqTransport::new(), cerebras(&server));
    let response = client.chat(question().stream(true)).unwrap();
    assert!(!response.text().is_empty());
    let sent = String::from_utf8(server.requests()[0].body.to_vec()).unwrap();
    assert!(sent.contains("\"stream\":true"), "{sent}");
}

#[test]
fn invalid_settings_are_refused_with_a_reason() {
    let server = server();
    let client = || Client::new(UreqTransport::new(), cerebras(&server));

    let error = client().with_provider(cerebras(&server)).unwrap_err();
    assert!(
        error.message().contains("two providers named `cerebras`"),
        "{error}"
    );

    let error = client().with_max_concurrent("cerebras", 0).unwrap_err();
    assert!(error.message().contains("at least 1"), "{error}");

    let error = client().with_max_concurrent("nobody", 1).unwrap_err();
    assert!(error.message().contains("known are: cerebras"), "{error}");

    let error = client().provider("nobody").unwrap_err();
    assert!(error.message().contains("`nobody`"), "{error}");

    let mut request = question();
    request.model = "bedrock.amazon.nova-lite-v1:0".into();
    let error = client().chat(request).unwrap_err();
    assert!(
        error.message().contains("no provider named `bedrock`"),
        "{error}"
    );

    let error = Client::from_env(UreqTransport::new(), &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let error = Client::from_env(UreqTransport::new(), &["nobody"]).unwrap_err();
    assert!(error.message().contains("`nobody`"), "{error}");
    assert_eq!(server.served(), 0);
}

#[test]
fn a_closed_client_and_its_clones_refuse_calls() {
    let server = server();
    let client = Client::new(UreqTransport::new(), cerebras(&server));
    let clone = client.clone();
    let stream = client.stream(question()).unwrap();
    client.close();
    for error in [
        clone.chat(question()).unwrap_err(),
        clone.list_models(None).unwrap_err(),
        clone.check_provider(None).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.message().contains("closed"));
    }
    assert!(
        stream.into_response().is_ok(),
        "a call that was made goes on"
    );
}

#[test]
fn provider_check_sends_a_minimal_request() {
    let server = server();
    let client = Client::new(UreqTransport::new(), cerebras(&server));
    let metadata = client.check_provider(None).unwrap();
    assert_eq!(metadata.status, Some(200));
    assert_eq!(server.requests()[0].path, "/v1/tcp_warming");
}
