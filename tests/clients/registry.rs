use crate::support::{cerebras, named, question, server};
use unifiedai::{Client, ErrorKind, ureq::Agent};

#[test]
fn a_model_s_prefix_chooses_the_provider_and_is_not_sent() {
    let (first, second) = (server(), server());
    let client = Client::new(Agent::new(), cerebras(&first))
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
fn what_cannot_be_meant_is_refused_in_words() {
    let server = server();
    let client = || Client::new(Agent::new(), cerebras(&server));

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
    assert!(error.message().contains("no provider `bedrock`"), "{error}");

    let error = Client::from_env(Agent::new(), &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let error = Client::from_env(Agent::new(), &["nobody"]).unwrap_err();
    assert!(error.message().contains("`nobody`"), "{error}");
    assert_eq!(server.served(), 0);
}

#[test]
fn a_closed_client_and_its_clones_refuse_calls() {
    let server = server();
    let client = Client::new(Agent::new(), cerebras(&server));
    let clone = client.clone();
    let stream = client.stream(question()).unwrap();
    client.close();
    for error in [
        clone.chat(question()).unwrap_err(),
        clone.list_models(None).unwrap_err(),
        clone.ping(None).unwrap_err(),
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
fn a_ping_asks_for_next_to_nothing() {
    let server = server();
    let client = Client::new(Agent::new(), cerebras(&server));
    let metadata = client.ping(None).unwrap();
    assert_eq!(metadata.status, Some(200));
    assert_eq!(server.requests()[0].path, "/v1/tcp_warming");
}
