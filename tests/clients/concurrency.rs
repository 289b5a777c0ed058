use crate::support::{cerebras, named, question, server, tokio};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use unifiedai::{
    AsyncClient, CallOptions, Client, ErrorKind, Timeouts,
    compare::{Comparison, ComparisonMetric},
    health::HealthStatus,
    observe::{CallEvent, CallObservation},
    provider::OpenAiChat,
    transport::{self, AsyncTransport, SmolTransport as Smol, UreqTransport},
};
use unifiedai_loopback::{Config, Loopback, Pace};

const MODELS: [&str; 4] = [
    "slow.gpt-oss-120b",
    "fast.gpt-oss-120b",
    "fast.fault-status-400",
    "bedrock.nothing",
];

fn servers() -> (Loopback, Loopback) {
    let mut config = Config::default();
    config.pace = Pace {
        first: Duration::from_millis(150),
        each: Duration::from_millis(3),
        coalesce: 1,
    };
    (server(), Loopback::start(config).unwrap())
}

fn check(comparison: &Comparison, seen: &[usize]) {
    let results = &comparison.results;
    let names: Vec<_> = results
        .iter()
        .map(|one| (one.provider.as_str(), one.model.as_str()))
        .collect();
    assert_eq!(
        names[..2],
        [("slow", "gpt-oss-120b"), ("fast", "gpt-oss-120b")]
    );
    assert!(results[0].result.is_ok() && results[1].result.is_ok());
    assert_eq!(
        results[2].result.as_ref().unwrap_err().kind(),
        ErrorKind::BadRequest
    );
    assert_eq!(
        results[3].result.as_ref().unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
    for criterion in [ComparisonMetric::FirstToken, ComparisonMetric::Duration] {
        assert_eq!(comparison.winner(criterion).unwrap().provider, "fast");
        let differences = comparison.differences(criterion);
        assert!(differences[0].unwrap() > 100.0 && differences[1] == Some(0.0));
        assert_eq!(differences[2..], [None, None]);
    }
    assert!(
        seen[0] > 5 && seen[1] > 5 && seen[2] == 0 && seen[3] == 0,
        "{seen:?}"
    );
    let json = serde_json::to_value(&results[2]).unwrap();
    assert_eq!(json["error"]["kind"], "bad_request");
}

#[test]
fn responses_are_compared() {
    let (fast, slow) = servers();
    let mut seen = [0; 4];
    let client = Client::new(UreqTransport::new(), named(&fast, "fast"))
        .with_provider(named(&slow, "slow"))
        .unwrap();
    let comparison = client.compare(&question(), &MODELS, |place, _| seen[place] += 1);
    check(&comparison, &seen);

    tokio().block_on(compared(transport::HyperTransport::new(), &fast, &slow));
    smol::block_on(compared(Smol::new(), &fast, &slow));
}

async fn compared<T: AsyncTransport + 'static>(transport: T, fast: &Loopback, slow: &Loopback) {
    let mut seen = [0; 4];
    let client = AsyncClient::new(transport, named(fast, "fast"))
        .with_provider(named(slow, "slow"))
        .unwrap();
    let request = question();
    let comparison = client
        .compare(&request, &MODELS, |place, _| seen[place] += 1)
        .await;
    check(&comparison, &seen);
}

#[test]
fn one_total_timeout_applies_to_all() {
    let (fast, slow) = servers();
    let mut options = CallOptions::default();
    options.timeouts = Timeouts::default().total(Duration::from_millis(140));
    let client = AsyncClient::new(transport::HyperTransport::new(), named(&fast, "fast"))
        .with_provider(named(&slow, "slow"))
        .unwrap()
        .with_options(options);
    let began = std::time::Instant::now();
    let comparison = tokio().block_on(client.compare(&question(), &MODELS[..2], |_, _| {}));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(
        comparison.results[0].result.as_ref().unwrap_err().kind(),
        ErrorKind::Timeout
    );
    assert_eq!(
        comparison
            .winner(ComparisonMetric::Duration)
            .unwrap()
            .provider,
        "fast"
    );
}

#[test]
fn health_reports_each_provider_and_overall() {
    let server = server();
    let dead = named(&Loopback::start(Config::fast()).unwrap(), "dead");
    let client = Client::new(UreqTransport::new(), cerebras(&server));
    assert_eq!(client.health().status, HealthStatus::Healthy);
    let client = client.with_provider(dead.clone()).unwrap();
    let health = client.health();
    assert_eq!(health.status, HealthStatus::Degraded);
    assert_eq!(health.providers[1].provider, "dead");
    assert!(health.providers[0].error.is_none() && health.providers[1].error.is_some());
    assert_eq!(
        client.provider("dead").unwrap().health().status,
        HealthStatus::Unhealthy
    );

    tokio().block_on(checked(
        transport::HyperTransport::new(),
        &server,
        dead.clone(),
    ));
    smol::block_on(checked(Smol::new(), &server, dead));
}

async fn checked<T: AsyncTransport + 'static>(transport: T, server: &Loopback, dead: OpenAiChat) {
    let client = AsyncClient::new(transport, cerebras(server))
        .with_provider(dead)
        .unwrap();
    let health = client.health().await;
    assert_eq!(health.status, HealthStatus::Degraded);
    assert_eq!(serde_json::to_value(&health).unwrap()["status"], "degraded");
}

#[test]
fn an_observer_sees_every_step_and_no_content() {
    let server = server();
    let log = Arc::new(Mutex::new(Vec::new()));
    let own = log.clone();
    let client = Client::new(UreqTransport::new(), cerebras(&server)).with_observer(
        move |seen: &CallObservation<'_>| {
            let word = match &seen.event {
                CallEvent::Started => "started".to_owned(),
                CallEvent::Attempt { number, host, .. } => format!("attempt {number} {host}"),
                CallEvent::FirstToken { .. } => "first token".to_owned(),
                CallEvent::AttemptFinished {
                    number,
                    status,
                    error,
                    ..
                } => {
                    format!("attempt {number} finished {status:?} {error:?}")
                }
                CallEvent::Finished(summary) => {
                    assert!(
                        summary.error.is_some()
                            || summary.usage.as_ref().unwrap().completion_tokens.is_some()
                    );
                    let line = serde_json::to_string(summary).unwrap();
                    assert!(!format!("{seen:?}{line}").contains("inference"), "{line}");
                    format!("finished {:?} {:?}", summary.status, summary.error)
                }
                _ => String::new(),
            };
            own.lock().unwrap().push(word);
        },
    );
    let said = || std::mem::take(&mut *log.lock().unwrap());
    client.stream(question()).unwrap().into_response().unwrap();
    assert_eq!(
        said(),
        [
            "started",
            "attempt 1 127.0.0.1",
            "first token",
            "attempt 1 finished Some(200) None",
            "finished Some(200) None"
        ]
    );

    let mut request = question();
    request.model = "fault-status-503+retry-after-ms=1,ok@observed".into();
    client.chat(request).unwrap();
    let said_of_two = said();
    assert_eq!(said_of_two.len(), 6);
    assert_eq!(
        said_of_two[2..4],
        [
            "attempt 1 finished Some(503) Some(Overloaded)",
            "attempt 2 127.0.0.1"
        ]
    );

    let mut stream = client.stream(question()).unwrap();
    stream.next().unwrap().unwrap();
    drop(stream);
    assert_eq!(said().last().unwrap(), "finished Some(200) Some(Cancelled)");

    drop(client.stream(question()).unwrap());
    assert_eq!(said(), ["started", "finished None Some(Cancelled)"]);
}
