//! The features of each provider, with the loopback provider.

use super::common::on_loopback;
use unifiedai::{
    CallOptions, ChatRequest, Client, ErrorKind, RetryPolicy, transport::UreqTransport,
};
use unifiedai_loopback::{Config, Loopback};

/// `yes`, or `-` if the provider lacks the feature. The last five columns are error kinds: a wrong key, a missing
/// model, too many requests, too long a prompt, no capacity.
const TABLE: &str = "
provider | models | one model | request id | allowances | server time | key | model | limit | overflow | capacity
cerebras | yes | yes | yes | yes | yes | authentication | not_found | rate_limit | context_overflow | overloaded
openai | yes | yes | yes | yes | yes | authentication | not_found | rate_limit | context_overflow | service_unavailable
azure | - | - | yes | yes | yes | authentication | not_found | rate_limit | context_overflow | service_unavailable
anthropic | yes | yes | yes | yes | yes | authentication | not_found | rate_limit | context_overflow | overloaded
vertex-anthropic | - | - | yes | yes | yes | authentication | not_found | rate_limit | context_overflow | overloaded
gemini | yes | yes | - | - | - | authentication | not_found | rate_limit | context_overflow | service_unavailable
vertex | - | - | - | - | - | authentication | not_found | rate_limit | context_overflow | service_unavailable
gemini-interactions | yes | yes | - | - | - | authentication | not_found | rate_limit | context_overflow | service_unavailable
vertex-interactions | - | - | - | - | - | authentication | not_found | rate_limit | context_overflow | service_unavailable
openai-responses | yes | yes | yes | yes | yes | authentication | not_found | rate_limit | context_overflow | service_unavailable
cohere | yes | yes | yes | yes | yes | authentication | not_found | rate_limit | context_overflow | service_unavailable
ollama | yes | - | - | - | yes | authentication | not_found | rate_limit | context_overflow | service_unavailable
bedrock | yes | yes | yes | - | yes | permission_denied | not_found | rate_limit | context_overflow | service_unavailable
";

#[test]
fn provider_features_match_the_table() {
    let mut wrong = Vec::new();
    for line in TABLE.trim().lines().skip(1) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let found = facilities(cells[0]);
        if found != cells[1..] {
            wrong.push(format!(
                "{}\n  expected {}\n  found    {}",
                cells[0],
                cells[1..].join(" | "),
                found.join(" | ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn facilities(name: &str) -> Vec<String> {
    let server = Loopback::start(Config::fast()).unwrap();
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    let client = Client::shared(UreqTransport::new(), on_loopback(name, &server).unwrap())
        .with_options(options);
    let has = |is: bool| if is { "yes" } else { "-" }.to_owned();
    let models = client.list_models(None);
    let one = match &models {
        Ok(models) => client.retrieve_model(&models[0].id),
        Err(_) => client.retrieve_model("m"),
    };
    for error in [models.as_ref().err(), one.as_ref().err()]
        .into_iter()
        .flatten()
    {
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}: {error}");
        assert!(error.message().contains(name), "{error}");
    }
    let ask = || ChatRequest::new("some-model").user("echo: hi");
    let answer = client
        .chat(ask())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut found = vec![
        has(models.is_ok()),
        has(one.is_ok()),
        has(answer.provider_metadata.request_id.is_some()),
        has(!answer.provider_metadata.rate_limits.is_empty()),
        has(answer.metrics.server.total.is_some()),
    ];
    let capacity = if name.contains("anthropic") {
        "status-529"
    } else {
        "status-503"
    };
    for fault in [
        "wrong key",
        "status-404",
        "status-429+retry-after=7",
        "context-overflow",
        capacity,
    ] {
        let mut request = ask();
        let header = match fault {
            "wrong key" => ("authorization", "Bearer wrong"),
            fault => ("x-loopback-fault", fault),
        };
        request.headers.push((header.0.into(), header.1.into()));
        let error = client.chat(request).unwrap_err();
        if fault.contains("retry-after") {
            // Gemini has the wait in the body, and the header is not its own.
            let said = if ["gemini", "vertex"].contains(&name) {
                2
            } else {
                7
            };
            let wait = error.retry_after().map(|wait| wait.as_secs());
            assert_eq!(wait, Some(said), "{name}");
        }
        assert!(!error.message().is_empty(), "{name} {fault}");
        let kind = error.kind().as_str().to_owned();
        found.push(kind);
    }
    found
}
