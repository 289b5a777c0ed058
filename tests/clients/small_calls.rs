//! Token counts, cached contents and compactions over the transports.

use crate::support::{server, tokio};
use std::{sync::Arc, time::Duration};
use unifiedai::{
    AsyncClient, ChatRequest, Client, ContentPart, ErrorKind, Model, Role, Secret,
    cache::{CacheExpiry, CachedContent, NewCachedContent},
    provider::{
        Anthropic, Auth, Gemini, OpenAiChat, OpenAiResponses, Provider, openai_chat::profiles,
    },
    tokens::Fit,
    transport::{AsyncTransport, HyperTransport, SmolTransport, UreqTransport},
};
use unifiedai_loopback::Loopback;

fn gemini(server: &Loopback) -> Gemini {
    let builder = Gemini::builder().base_url(server.provider_url("gemini"));
    builder.api_key("key").unwrap().build().unwrap()
}

/// Providers, and whether their counts are exact.
fn counters(server: &Loopback) -> Vec<(Arc<dyn Provider>, bool)> {
    let token = || Auth::Bearer(Secret::new("t").unwrap().into());
    let local = |profile, path: &str| {
        let url = [&server.origin(), path].concat();
        OpenAiChat::builder()
            .profile(profile)
            .base_url(url)
            .build()
            .unwrap()
    };
    let anthropic = || Anthropic::builder().base_url(server.base_url());
    let responses = OpenAiResponses::builder().base_url(server.provider_url("openai-responses"));
    vec![
        (Arc::new(anthropic().build().unwrap()), true),
        (
            Arc::new(
                anthropic()
                    .vertex("p", "l")
                    .unwrap()
                    .auth(token())
                    .build()
                    .unwrap(),
            ),
            true,
        ),
        (Arc::new(gemini(server)), true),
        (
            Arc::new(
                Gemini::builder()
                    .vertex("p", "l")
                    .unwrap()
                    .base_url(server.base_url())
                    .auth(token())
                    .build()
                    .unwrap(),
            ),
            true,
        ),
        (Arc::new(responses.build().unwrap()), true),
        (Arc::new(local(profiles::OPENAI, "/openai/v1")), false),
        (
            Arc::new(local(profiles::LLAMA_CPP, "/as/llama-cpp/v1")),
            true,
        ),
        (Arc::new(local(profiles::VLLM, "/as/vllm/v1")), true),
    ]
}

fn question() -> ChatRequest {
    ChatRequest::new("some-model")
        .system("Be brief.")
        .user("one two three four five six seven")
}

#[test]
fn counts_over_every_transport() {
    let server = server();
    for (provider, exact) in counters(&server) {
        let name = provider.name().to_owned();
        let client = Client::shared(UreqTransport::new(), provider.clone());
        let count = client
            .count_tokens(&question())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(count.answer.tokens >= 7, "{name}: {count:?}");
        assert_eq!(count.answer.exact, exact, "{name}");
        assert!(count.provider_metadata.raw.is_some());
        let mut longer = question();
        longer.messages.push(unifiedai::Message::user("eight nine"));
        let more = client.count_tokens(&longer).unwrap().answer.tokens;
        assert!(more > count.answer.tokens, "{name}");
        let hyper = AsyncClient::shared(HyperTransport::new(), provider.clone());
        let other = tokio().block_on(hyper.count_tokens(&question())).unwrap();
        assert_eq!(other.answer, count.answer, "{name}");
        let smol = AsyncClient::shared(SmolTransport::new(), provider);
        let other = smol::block_on(smol.count_tokens(&question())).unwrap();
        assert_eq!(other.answer, count.answer, "{name}");
    }
}

#[test]
fn headers_of_the_request_go_with_every_request_of_a_count() {
    let server = server();
    let url = [&server.origin(), "/as/llama-cpp/v1"].concat();
    let provider = OpenAiChat::builder()
        .profile(profiles::LLAMA_CPP)
        .base_url(url)
        .build()
        .unwrap();
    let client = Client::new(UreqTransport::new(), provider);
    client
        .count_tokens(&question().header("x-team", "search"))
        .unwrap();
    let requests = server.requests();
    let paths: Vec<_> = requests
        .iter()
        .map(|request| request.path.as_str())
        .collect();
    assert_eq!(
        paths,
        ["/as/llama-cpp/apply-template", "/as/llama-cpp/tokenize"]
    );
    assert!(
        requests
            .iter()
            .all(|request| request.header("x-team") == Some("search"))
    );
}

#[test]
fn model_without_a_limit_is_not_asked_about() {
    let server = server();
    let client = Client::new(UreqTransport::new(), gemini(&server));
    let mut model = Model::new("gemini", "some-model");
    assert_eq!(client.fits(&question(), &model).unwrap(), Fit::Unknown);
    assert!(server.requests().is_empty());
    model.context_length = Some(3);
    assert_eq!(
        client.fits(&question(), &model).unwrap().prompt_fits(),
        Some(false)
    );
    model.context_length = Some(3000);
    assert_eq!(
        client.fits(&question(), &model).unwrap().prompt_fits(),
        Some(true)
    );
}

#[test]
fn wrong_key_is_an_authentication_error() {
    let server = server();
    let builder = Anthropic::builder().base_url(server.base_url());
    let provider = builder.api_key("wrong").unwrap().build().unwrap();
    let error = Client::new(UreqTransport::new(), provider)
        .count_tokens(&question())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
}

fn new_content(word: &str) -> NewCachedContent {
    let prompt = question().user(format!("echo: {word}"));
    NewCachedContent::new(prompt)
        .ttl(Duration::from_secs(600))
        .display_name(word)
}

/// From the first call to the last; the list has several pages.
async fn lifecycle<T: AsyncTransport + Clone + Unpin>(client: AsyncClient<T>) {
    let small = NewCachedContent::new(ChatRequest::new("some-model").user("x"));
    let error = client.create_cached_content(&small).await.unwrap_err();
    assert!(error.message().contains("too small"), "{error}");
    let mut names = Vec::new();
    for word in ["a", "b", "c", "d", "e"] {
        let content = client
            .create_cached_content(&new_content(word))
            .await
            .unwrap()
            .answer;
        assert_eq!(content.display_name.as_deref(), Some(word));
        names.insert(0, content.name);
    }
    let listed = client.list_cached_contents(None).await.unwrap().answer;
    assert_eq!(
        listed
            .iter()
            .map(|content| &content.name)
            .collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    let name = &names[0];
    assert_eq!(
        client.cached_content(None, name).await.unwrap().answer.name,
        *name
    );
    let until = "2030-01-01T00:00:00Z";
    let renewed = client
        .renew_cached_content(None, name, &CacheExpiry::At(until.into()))
        .await
        .unwrap();
    assert_eq!(renewed.answer.expire_time.as_deref(), Some(until));
    assert!(renewed.answer.expires().is_some());
    let ask = || {
        ChatRequest::new("some-model")
            .user("echo: hi")
            .cached_content(name)
    };
    assert_eq!(client.chat(ask()).await.unwrap().text(), "hi");
    client.delete_cached_content(None, name).await.unwrap();
    for error in [
        client.delete_cached_content(None, name).await.unwrap_err(),
        client.cached_content(None, name).await.unwrap_err(),
        client.chat(ask()).await.unwrap_err(),
    ] {
        assert_eq!(error.status(), Some(403));
        assert!(CachedContent::is_gone(&error), "{error}");
    }
}

#[test]
fn cached_contents_live_over_hyper() {
    let server = server();
    tokio().block_on(lifecycle(AsyncClient::new(
        HyperTransport::new(),
        gemini(&server),
    )));
}

#[test]
fn cached_contents_live_over_smol() {
    let server = server();
    smol::block_on(lifecycle(AsyncClient::new(
        SmolTransport::new(),
        gemini(&server),
    )));
}

#[test]
fn cached_contents_live_blocking_and_on_vertex() {
    let server = server();
    let token = Auth::Bearer(Secret::new("t").unwrap().into());
    let builder = Gemini::builder().vertex("p", "l").unwrap();
    let vertex = builder
        .base_url(server.base_url())
        .auth(token)
        .build()
        .unwrap();
    let client = Client::new(UreqTransport::new(), vertex);
    let content = client
        .create_cached_content(&new_content("v"))
        .unwrap()
        .answer;
    assert_eq!(content.name, "projects/p/locations/l/cachedContents/c1");
    let listed = client.list_cached_contents(None).unwrap().answer;
    assert_eq!(listed, std::slice::from_ref(&content));
    let ttl = CacheExpiry::Ttl(Duration::from_secs(60));
    client
        .renew_cached_content(Some("vertex"), &content.name, &ttl)
        .unwrap();
    assert_eq!(
        client
            .cached_content(None, &content.name)
            .unwrap()
            .answer
            .tokens,
        content.tokens
    );
    client.delete_cached_content(None, &content.name).unwrap();
    assert!(client.list_cached_contents(None).unwrap().answer.is_empty());
}

#[test]
fn compacted_conversation_continues() {
    let server = server();
    let builder = OpenAiResponses::builder().base_url(server.provider_url("openai-responses"));
    let client = Client::new(UreqTransport::new(), builder.build().unwrap());
    let long = question().assistant("eight").user("nine");
    let compacted = client.compact(&long).unwrap();
    let messages = &compacted.answer.messages;
    let roles: Vec<_> = messages
        .iter()
        .map(|message| message.role.clone())
        .collect();
    assert_eq!(roles, [Role::User, Role::User, Role::Assistant]);
    assert_eq!(messages[1].text(), "nine");
    assert!(
        matches!(&messages[2].content[..], [part @ ContentPart::Compaction(_)] if part.raw().unwrap().block.as_str().contains("cmp_1"))
    );
    assert!(compacted.answer.usage.is_some());
    let next = compacted.answer.continue_in(long).user("echo: on");
    assert_eq!(client.chat(next).unwrap().text(), "on");
    let body = String::from_utf8(server.requests().last().unwrap().body.to_vec()).unwrap();
    assert!(
        body.contains("loopback-compaction") && !body.contains("eight"),
        "{body}"
    );
}

#[test]
fn client_without_the_call_names_the_provider() {
    let server = server();
    let builder = OpenAiResponses::builder().base_url(server.provider_url("openai-responses"));
    let client = Client::new(UreqTransport::new(), builder.build().unwrap());
    let error = client.list_cached_contents(None).unwrap_err();
    assert!(
        error
            .message()
            .contains("`openai-responses` has no cached contents"),
        "{error}"
    );
}
