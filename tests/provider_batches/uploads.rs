//! Files whose bytes come from a source.

use crate::support::{anthropic, like_openai};
use http::Response;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, ErrorKind, RetryPolicy, Timeouts,
    provider::Provider,
    provider_batch::{
        BatchAnswer, BatchCall, BatchRun, NewFile, RequestIter, RequestSource, RunOptions, RunStep,
    },
    sans_io::{CallBatchApi, CallStart, Exchange, Input, Step},
    transport::{
        AttemptDeadlines, Phase, RequestBody, RequestDelivery, Time, TransportError,
        TransportErrorKind, UploadProgress,
    },
};

const LINES: &str = "{\"custom_id\":\"a\"}\n";

/// A file of one line, and how often it was opened.
fn file() -> (NewFile, Arc<AtomicUsize>) {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = opened.clone();
    let body = RequestBody::from_reader(LINES.len() as u64, move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(LINES.as_bytes())
    });
    let file = NewFile::new("in.jsonl", "application/jsonl", body);
    (file.purpose("batch"), opened)
}

fn upload(
    provider: Arc<dyn Provider>,
    file: NewFile,
    options: CallOptions,
) -> Exchange<CallBatchApi> {
    let start = CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0);
    Exchange::batch_call(
        provider,
        BatchCall::UploadFile(file),
        Arc::new(options),
        start,
    )
    .unwrap()
}

fn at(seconds: u64) -> Time {
    Time::ZERO.saturating_add(Duration::from_secs(seconds))
}

fn sent(
    exchange: &mut Exchange<CallBatchApi>,
    now: Time,
) -> (http::Request<RequestBody>, AttemptDeadlines) {
    match exchange.poll(now) {
        Step::Send { request, deadlines } => (request, deadlines),
        other => panic!("{other:?}"),
    }
}

fn answer(exchange: &mut Exchange<CallBatchApi>, status: u16, body: &'static str, now: Time) {
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    exchange.handle(Input::Headers(response.into_parts().0), now);
    exchange.handle(Input::Body(body.into()), now);
    exchange.handle(Input::BodyEnd, now);
}

#[test]
fn a_form_with_a_streamed_file_announces_its_length_and_is_sent_again() {
    for provider in [like_openai("openai"), anthropic()] {
        let (file, opened) = file();
        let retry = CallOptions::default().retry(RetryPolicy::default());
        let mut exchange = upload(provider, file, retry);
        let (request, _) = sent(&mut exchange, at(0));
        assert!(request.body().is_streamed());
        assert_eq!(opened.load(Ordering::SeqCst), 0, "the core opens nothing");
        let first = request.body().collect(10_000).unwrap();
        assert_eq!(first.len() as u64, request.body().len());
        assert!(std::str::from_utf8(&first).unwrap().contains(LINES));
        answer(&mut exchange, 503, "{}", at(1));
        let Step::Sleep { until } = exchange.poll(at(1)) else {
            panic!("a refusal of this kind is retried");
        };
        let (again, _) = sent(&mut exchange, until);
        assert_eq!(again.body().collect(10_000).unwrap(), first);
        answer(
            &mut exchange,
            200,
            r#"{"id":"file-1","filename":"in.jsonl"}"#,
            until,
        );
        assert!(matches!(exchange.poll(until), Step::Done));
        let stored = exchange.into_result().unwrap();
        assert!(matches!(stored, BatchAnswer::File(file) if file.id == "file-1"));
    }
}

#[test]
fn a_body_that_can_be_read_once_is_sent_once() {
    let body = RequestBody::from_reader_once(LINES.len() as u64, io::Cursor::new(LINES));
    let file = NewFile::new("in.jsonl", "application/jsonl", body).purpose("batch");
    let mut exchange = upload(like_openai("openai"), file, CallOptions::default());
    let _ = sent(&mut exchange, at(0));
    answer(&mut exchange, 503, "{}", at(1));
    assert!(matches!(exchange.poll(at(1)), Step::Done));
    assert_eq!(exchange.into_result().unwrap_err().status(), Some(503));
}

#[test]
fn an_error_of_the_source_ends_the_call_in_its_own_words() {
    let body =
        RequestBody::from_reader(9, || Err::<io::Empty, _>(io::Error::other("no such disk")));
    let file = NewFile::new("in.jsonl", "application/jsonl", body).purpose("batch");
    let mut exchange = upload(like_openai("openai"), file, CallOptions::default());
    let (request, _) = sent(&mut exchange, at(0));
    let error = request.body().collect(10_000).unwrap_err();
    let error = error.into_transport_error(RequestDelivery::MaybeProcessed);
    exchange.handle(Input::TransportError(error), at(1));
    assert!(matches!(exchange.poll(at(1)), Step::Done));
    let error = exchange.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(!error.is_retryable());
    assert!(error.message().contains("no such disk"), "{error}");
}

#[test]
fn progress_of_an_upload_moves_the_deadline() {
    let timeouts = Timeouts::default()
        .first_byte(Duration::from_secs(20))
        .idle(Duration::from_secs(5));
    let options = || {
        CallOptions::default()
            .timeouts(timeouts)
            .retry(RetryPolicy::none())
    };
    let mut exchange = upload(like_openai("openai"), file().0, options());
    let (_, limits) = sent(&mut exchange, at(0));
    assert_eq!(limits.headers, at(20));
    assert_eq!(limits.write_pause, Duration::from_secs(5));
    assert_eq!(limits.response_wait, Duration::from_secs(20));
    let mut deadline = |input: Option<UploadProgress>, now| {
        if let Some(progress) = input {
            exchange.handle(Input::Upload(progress), now);
        }
        match exchange.poll(now) {
            Step::Receive { deadline } => deadline,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(deadline(None, at(1)), at(20));
    assert_eq!(
        deadline(Some(UploadProgress::Sending(at(18))), at(18)),
        at(23)
    );
    assert_eq!(
        deadline(Some(UploadProgress::Sending(at(22))), at(22)),
        at(27)
    );
    assert_eq!(deadline(Some(UploadProgress::Sent(at(26))), at(26)), at(46));
    answer(&mut exchange, 200, r#"{"id":"file-1"}"#, at(45));
    assert!(matches!(exchange.poll(at(45)), Step::Done));
    assert!(exchange.into_result().is_ok());

    let mut stuck = upload(like_openai("openai"), file().0, options());
    let _ = sent(&mut stuck, at(0));
    let kind = TransportErrorKind::Timeout(Phase::RequestBody);
    let failure = TransportError::new(kind, RequestDelivery::MaybeProcessed, "api.test:443");
    stuck.handle(Input::TransportError(failure), at(100));
    assert!(matches!(stuck.poll(at(100)), Step::Done));
    let error = stuck.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let expected = "no more of the request body was sent within 5s (idle timeout): api.test:443";
    assert_eq!(error.message(), expected);
}

/// The requests of a run; one line has none.
fn requests() -> Arc<Vec<Option<ChatRequest>>> {
    let request =
        |n: usize| ChatRequest::new("gpt-4.1-mini").user(format!("{n}: {}", "x".repeat(n)));
    let line = |n: usize| (n != 7).then(|| request(n));
    Arc::new((0..600).map(line).collect())
}

/// The first file of a run.
fn first_file(mut run: BatchRun, requests: &[Option<ChatRequest>]) -> NewFile {
    loop {
        match run.poll(SystemTime::UNIX_EPOCH) {
            RunStep::Line(line) => match requests.get(usize::try_from(line).unwrap()) {
                Some(Some(request)) => run.push(request),
                Some(None) => run.skip_line(),
                None => run.end_of_input(),
            },
            RunStep::Save => run.saved(),
            RunStep::Call(BatchCall::UploadFile(file)) => return file,
            step => panic!("{step:?}"),
        }
    }
}

fn run(options: RunOptions) -> BatchRun {
    BatchRun::new(like_openai("openai"), "run1", options).unwrap()
}

fn source(requests: Arc<Vec<Option<ChatRequest>>>) -> impl RequestSource {
    move |line: u64| {
        let first = usize::try_from(line).unwrap();
        let rest = requests[first..].to_vec();
        Ok(Box::new(rest.into_iter().map(Ok)) as RequestIter)
    }
}

#[test]
fn a_run_with_a_source_sends_the_same_files_without_keeping_them() {
    let requests = requests();
    for options in [
        RunOptions::default(),
        RunOptions::default().max_part_requests(100),
    ] {
        let kept = first_file(run(options), &requests).content;
        let streamed = first_file(
            run(options).with_source(source(requests.clone())),
            &requests,
        );
        let streamed = streamed.content;
        assert!(streamed.is_streamed() && !kept.is_streamed());
        assert_eq!(streamed.len(), kept.len());
        // It can be sent again, and is never in memory as a whole.
        for _ in 0..2 {
            let mut pieces = streamed.open().unwrap();
            let mut all = Vec::new();
            while let Poll::Ready(Ok(Some(piece))) = pieces.poll_blocking(Duration::ZERO) {
                assert!(piece.len() < 66 * 1024, "{}", piece.len());
                all.extend_from_slice(&piece);
            }
            assert_eq!(all, kept.collect(1 << 30).unwrap());
        }
    }
}

#[test]
fn an_input_that_changes_between_two_reads_is_an_error() {
    let first = requests();
    let mut other = first.to_vec();
    other[3] = Some(ChatRequest::new("gpt-4.1-mini").user("another"));
    let shorter = first[..500].to_vec();
    for changed in [other, shorter] {
        let streamed = run(RunOptions::default()).with_source(source(Arc::new(changed)));
        let error = first_file(streamed, &first)
            .content
            .collect(1 << 30)
            .unwrap_err();
        assert!(error.to_string().contains("the announced"), "{error}");
    }
}
