//! Runs against a provider in memory that loses answers, fails, is late, and forgets lines; and against a process that ends at
//! any step.

use crate::support::{anthropic, like_openai};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    ChatRequest, Error, ErrorKind, Json,
    provider::{Provider, Submission},
    provider_batch::{
        BatchAnswer, BatchCall, BatchCounts, BatchInput, BatchItem, BatchRun, BatchState,
        ItemOutcome, ProviderBatch, ResultSource, RunOptions, RunState, RunStep, StoredFile,
    },
    transport::RequestDelivery,
};

/// xorshift: the same seed gives the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The position of a file or batch in the server's list, from its id (`b-3`).
fn index(id: &str) -> usize {
    let (_, number) = id.split_once('-').unwrap();
    number.parse().unwrap()
}

/// A provider in memory, at the level of calls and answers. Descriptions are made as JSON and read by the provider's decoder.
struct Server {
    provider: Arc<dyn Provider>,
    random: Random,
    faults: u64,
    files: Vec<String>,
    batches: Vec<Batch>,
    creates: usize,
}

struct Batch {
    tag: String,
    file: Option<String>,
    ids: Vec<String>,
    polls: u32,
    created: u64,
    is_cancelled: bool,
}

const CHAT: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"TEXT"},"finish_reason":"stop"}]}"#;
const MESSAGE: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"TEXT"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;

impl Server {
    fn new(provider: Arc<dyn Provider>, seed: u64, faults: u64) -> Self {
        Server {
            provider,
            random: Random(seed | 1),
            faults,
            files: Vec::new(),
            batches: Vec::new(),
            creates: 0,
        }
    }

    fn ids(lines: &[u8]) -> Vec<String> {
        let lines = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let id = |line| {
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            let places = [
                &line["custom_id"],
                &line["batch_request_id"],
                &line["metadata"]["custom_id"],
            ];
            let id = places.into_iter().find_map(|id| id.as_str());
            id.unwrap().to_owned()
        };
        lines.map(id).collect()
    }

    fn is_xai(&self) -> bool {
        self.provider.name() == "xai"
    }

    /// A description, through the provider's own reading of one.
    fn describe(&self, index: usize) -> ProviderBatch {
        let batch = &self.batches[index];
        let (id, total, is_over) = (format!("b-{index}"), batch.ids.len(), batch.polls > 3);
        let done = if is_over { total } else { 0 };
        let body = match self.provider.name() {
            "anthropic" => serde_json::json!({
                "id": id, "processing_status": if is_over { "ended" } else { "in_progress" },
                "request_counts": {"processing": total - done, "succeeded": done},
                "created_at": rfc3339(batch.created),
            }),
            "xai" => serde_json::json!({
                "batch_id": id, "name": batch.tag,
                "state": {"num_requests": total, "num_pending": total - done, "num_success": done},
            }),
            "mistral" => serde_json::json!({
                "id": id, "status": if is_over { "SUCCESS" } else { "RUNNING" }, "created_at": batch.created,
                "metadata": {"unifiedai_run": batch.tag}, "output_file": id, "total_requests": total,
            }),
            _ => serde_json::json!({
                "id": id, "status": if is_over { "completed" } else { "in_progress" }, "created_at": batch.created,
                "input_file_id": batch.file, "output_file_id": id, "error_file_id": format!("e-{index}"),
                "request_counts": {"total": total, "completed": done, "failed": 0},
            }),
        };
        let answers = [crate::support::Answer::json(body.to_string())];
        let call = BatchCall::Retrieve("b".into());
        let arrival = crate::support::Arrival::Whole;
        match crate::support::call(&self.provider, call, &answers, arrival).result {
            Ok(BatchAnswer::Batch(batch)) => *batch,
            other => panic!("{other:?}"),
        }
    }

    /// Does the work of a call, as far as the network lets it, and gives its answer, unless the network loses that.
    fn call(
        &mut self,
        call: &BatchCall,
        now: u64,
        items: &mut Vec<BatchItem<Json>>,
    ) -> Result<BatchAnswer, Error> {
        if self.random.percent(self.faults) {
            return Err(match self.random.below(3) {
                0 => crate::support::error_of(RequestDelivery::NotSent),
                1 => Error::new(ErrorKind::ServiceUnavailable, "busy").with_status(503),
                _ => Error::new(ErrorKind::RateLimit, "slower").with_status(429),
            });
        }
        let answer = self.work(call, now, items);
        if self.random.percent(self.faults) {
            items.truncate(items.len() / 2);
            return Err(match self.random.below(2) {
                0 => crate::support::error_of(RequestDelivery::MaybeProcessed),
                _ => Error::new(ErrorKind::InternalServer, "lost").with_status(500),
            });
        }
        answer
    }

    fn work(
        &mut self,
        call: &BatchCall,
        now: u64,
        items: &mut Vec<BatchItem<Json>>,
    ) -> Result<BatchAnswer, Error> {
        Ok(match call {
            BatchCall::UploadFile(file) => {
                self.files.push(
                    String::from_utf8(file.content.collect(1 << 30).unwrap().to_vec()).unwrap(),
                );
                let mut stored = StoredFile::default();
                stored.id = format!("f-{}", self.files.len() - 1);
                BatchAnswer::File(stored)
            }
            BatchCall::Create(new) => {
                self.creates += 1;
                let (file, ids) = match &new.input {
                    BatchInput::File(id) => {
                        let content = self.files[index(id)].clone();
                        (Some(id.clone()), Self::ids(content.as_bytes()))
                    }
                    BatchInput::Lines(lines) => (None, Self::ids(lines)),
                    _ => (None, Vec::new()),
                };
                self.batches.push(Batch {
                    tag: new.tag.clone(),
                    file,
                    ids,
                    polls: 0,
                    created: now,
                    is_cancelled: false,
                });
                BatchAnswer::Batch(Box::new(self.describe(self.batches.len() - 1)))
            }
            BatchCall::Add {
                id,
                requests: BatchInput::Lines(lines),
            } => {
                self.batches[index(id)].ids.extend(Self::ids(lines));
                BatchAnswer::Done
            }
            BatchCall::Retrieve(id) => {
                self.batches[index(id)].polls += 1;
                BatchAnswer::Batch(Box::new(self.describe(index(id))))
            }
            BatchCall::Cancel(id) => {
                self.batches[index(id)].is_cancelled = true;
                BatchAnswer::Done
            }
            BatchCall::Find { page, .. } => {
                let all: Vec<usize> = (0..self.batches.len()).rev().collect();
                let first = page.as_deref().map_or(0, |page| page.parse().unwrap());
                let shown: Vec<_> = all
                    .iter()
                    .skip(first)
                    .take(2)
                    .map(|index| self.describe(*index))
                    .collect();
                let next = first + shown.len();
                BatchAnswer::Batches(shown, (next < all.len()).then(|| next.to_string()))
            }
            BatchCall::Results(source) => {
                self.results(source, items);
                BatchAnswer::Done
            }
            other => panic!("{other:?}"),
        })
    }

    /// Lines in another order, one in seven refused, one in eleven missing.
    fn results(&mut self, source: &ResultSource, items: &mut Vec<BatchItem<Json>>) {
        let id = match source {
            ResultSource::File(id) | ResultSource::Lines(id) => id,
            ResultSource::Pages { batch, .. } => batch,
            other => panic!("{other:?}"),
        };
        let is_errors = id.starts_with("e-");
        let batch = &self.batches[index(id)];
        for id in batch.ids.iter().rev() {
            let line: u64 = id.rsplit('-').next().unwrap().parse().unwrap();
            if line % 11 == 3 || (line % 7 == 2) != is_errors && self.provider.name() == "openai" {
                continue;
            }
            let outcome = if line % 7 == 2 {
                ItemOutcome::Failed(Error::new(ErrorKind::BadRequest, "no").with_status(400))
            } else {
                let body = if self.provider.name() == "anthropic" {
                    MESSAGE
                } else {
                    CHAT
                };
                let body = body.replace("TEXT", &line.to_string());
                ItemOutcome::Succeeded(Box::new(Json::parse(body).unwrap()))
            };
            items.push(BatchItem::new(id.clone(), outcome));
        }
    }
}

fn rfc3339(seconds: u64) -> String {
    // The runs of these tests begin at midnight.
    let day = seconds % 86_400;
    let days = (seconds - BEGIN) / 86_400;
    format!(
        "2026-08-{:02}T{:02}:{:02}:{:02}Z",
        10 + days,
        day / 3600,
        day / 60 % 60,
        day % 60
    )
}

/// 10 August 2026, 0:00.
pub(crate) const BEGIN: u64 = 1_786_320_000;

fn request(line: u64) -> ChatRequest {
    ChatRequest::new("m")
        .user(format!("line {line}"))
        .max_tokens(5)
}

/// Runs to the end, as a process that ends at any step with a likelihood of `crashes` in a thousand and is started again. Gives
/// the first outcome of each line.
fn carry_out(
    server: &mut Server,
    lines: u64,
    options: RunOptions,
    crashes: u64,
) -> BTreeMap<u64, String> {
    let mut outcomes = BTreeMap::new();
    let mut now = BEGIN;
    let provider = server.provider.clone();
    let mut run = BatchRun::new(provider.clone(), "run1", options).unwrap();
    let mut saved = serde_json::to_vec(run.state()).unwrap();
    for _ in 0..200_000 {
        if server.random.below(1000) < crashes {
            let state: RunState = serde_json::from_slice(&saved).unwrap();
            run = BatchRun::resume(provider.clone(), state, options).unwrap();
        }
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        match run.poll(wall) {
            RunStep::Line(line) if line < lines => match line % 13 {
                5 => run.skip_line(),
                _ => run.push(&request(line)),
            },
            RunStep::Line(_) => run.end_of_input(),
            RunStep::Save => {
                saved = serde_json::to_vec(run.state()).unwrap();
                run.saved();
            }
            RunStep::Call(call) => {
                let mut items = Vec::new();
                let answer = server.call(&call, now, &mut items);
                // A caller that drops a call.
                if server.random.below(1000) < crashes {
                    continue;
                }
                items.into_iter().for_each(|item| run.on_item(item));
                run.on_answer(answer, wall).unwrap();
            }
            RunStep::Outcome(line, outcome) => {
                let word = match &outcome {
                    ItemOutcome::Succeeded(answer) => answer.text().into_owned(),
                    other => other.as_str().to_owned(),
                };
                let first = outcomes.entry(line).or_insert(word.clone());
                assert_eq!(*first, word, "line {line}");
            }
            RunStep::Wait(until) => {
                let until = until
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap()
                    .as_secs();
                now = until.max(now + 1);
            }
            RunStep::Done => return outcomes,
            other => panic!("{other:?}"),
        }
    }
    panic!("the run does not end: {run:?}");
}

fn expected(lines: u64) -> BTreeMap<u64, String> {
    let word = |line: u64| match line {
        line if line % 11 == 3 => "lost".to_owned(),
        line if line % 7 == 2 => "failed".to_owned(),
        line => line.to_string(),
    };
    let asked = (0..lines).filter(|line| line % 13 != 5);
    asked.map(|line| (line, word(line))).collect()
}

fn providers() -> [Arc<dyn Provider>; 4] {
    [
        like_openai("openai"),
        anthropic(),
        like_openai("mistral"),
        like_openai("xai"),
    ]
}

/// Every line that the provider took, as often as it took it.
fn taken(server: &Server) -> BTreeMap<String, usize> {
    let mut taken = BTreeMap::new();
    for id in server.batches.iter().flat_map(|batch| &batch.ids) {
        *taken.entry(id.clone()).or_default() += 1;
    }
    taken
}

#[test]
fn every_line_has_one_outcome_and_batches_have_the_size_that_is_set() {
    for provider in providers() {
        let mut server = Server::new(provider, 7, 0);
        let options = RunOptions::default()
            .max_part_requests(9)
            .poll(Duration::from_secs(5));
        let outcomes = carry_out(&mut server, 100, options, 0);
        assert_eq!(outcomes, expected(100));
        let asked = expected(100).len();
        assert_eq!(
            server.batches.len(),
            asked.div_ceil(9),
            "{}",
            server.provider.name()
        );
        assert!(server.batches.iter().all(|batch| batch.ids.len() <= 9));
    }
}

#[test]
fn a_batch_has_no_more_bytes_than_are_allowed_and_no_line_that_is_too_large() {
    for provider in providers() {
        let line = crate::support::with_api(&provider, |api| {
            api.encode_line("run1-0", &request(0)).unwrap().len() as u64
        });
        let mut server = Server::new(provider, 7, 0);
        let options = RunOptions::default()
            .max_part_bytes(line * 4)
            .poll(Duration::from_secs(5));
        let outcomes = carry_out(&mut server, 60, options, 0);
        assert_eq!(outcomes, expected(60));
        let sizes: Vec<usize> = server.batches.iter().map(|batch| batch.ids.len()).collect();
        assert!(sizes.iter().all(|size| *size <= 4), "{sizes:?}");
        assert!(
            sizes.iter().rev().skip(1).all(|size| *size >= 3),
            "{sizes:?}"
        );
        let tiny = RunOptions::default().max_part_bytes(line / 2);
        let mut server = Server::new(server.provider.clone(), 7, 0);
        let outcomes = carry_out(&mut server, 4, tiny, 0);
        assert_eq!(outcomes.len(), 4);
        assert!(
            outcomes.values().all(|word| word == "failed"),
            "{outcomes:?}"
        );
        assert!(server.batches.is_empty());
    }
}

#[test]
fn nothing_is_made_twice_whatever_fails_and_wherever_the_process_ends() {
    for provider in providers() {
        for seed in 1..=60 {
            let mut server = Server::new(provider.clone(), seed * 7919, 15);
            let options = RunOptions::default()
                .max_part_requests(8)
                .poll(Duration::from_secs(5));
            let outcomes = carry_out(&mut server, 40, options, 60);
            let name = server.provider.name();
            assert_eq!(outcomes, expected(40), "{name} {seed}");
            let twice: Vec<_> = taken(&server)
                .into_iter()
                .filter(|(_, times)| *times > 1)
                .collect();
            assert!(twice.is_empty(), "{name} {seed}: {twice:?}");
            if !server.is_xai() {
                let made = server
                    .batches
                    .iter()
                    .filter(|batch| !batch.ids.is_empty())
                    .count();
                assert_eq!(made, server.creates, "{name} {seed}");
            }
        }
    }
}

#[test]
fn a_cancelled_run_sends_nothing_more_and_every_line_has_an_outcome() {
    for provider in providers() {
        let options = RunOptions::default().poll(Duration::from_secs(5));
        let mut run = BatchRun::new(provider.clone(), "run1", options).unwrap();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN);
        for line in 0..3 {
            assert!(matches!(run.poll(wall), RunStep::Line(asked) if asked == line));
            run.push(&request(line));
        }
        run.cancel();
        let mut cancelled = Vec::new();
        loop {
            match run.poll(wall) {
                RunStep::Outcome(line, ItemOutcome::Cancelled) => cancelled.push(line),
                RunStep::Save => run.saved(),
                RunStep::Done => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(cancelled, [0, 1, 2], "{}", provider.name());
    }
}

#[test]
fn a_run_of_too_few_requests_is_refused_and_an_error_that_lasts_comes_out() {
    let cerebras = like_openai("cerebras");
    let api = cerebras.batch_api().unwrap().limits();
    assert_eq!((api.min_requests, api.submission), (10, Submission::File));
    let mut server = Server::new(cerebras, 1, 0);
    let outcomes = carry_out(&mut server, 4, RunOptions::default(), 0);
    assert!(outcomes.len() == 4 && outcomes.values().all(|word| word == "failed"));
    let mut run = BatchRun::new(anthropic(), "run1", RunOptions::default()).unwrap();
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN);
    loop {
        match run.poll(wall) {
            RunStep::Line(0) => run.push(&request(0)),
            RunStep::Line(_) => run.end_of_input(),
            RunStep::Save => run.saved(),
            RunStep::Call(_) => {
                let wrong = Error::new(ErrorKind::Authentication, "wrong key").with_status(401);
                let error = run.on_answer(Err(wrong), wall).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Authentication);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    // Once the key is right, it goes on.
    let later = wall + Duration::from_secs(100);
    assert!(matches!(run.poll(later), RunStep::Line(0)));
    let misuse = run.on_answer(Ok(BatchAnswer::Done), later).unwrap_err();
    assert_eq!(misuse.kind(), ErrorKind::Misuse);
    for (id, is_id) in [
        ("run1", true),
        ("", false),
        ("Run", false),
        ("a-b", false),
        (&"x".repeat(25), false),
    ] {
        let made = BatchRun::new(anthropic(), id, RunOptions::default());
        assert_eq!(made.is_ok(), is_id, "{id}");
    }
    let state = BatchRun::new(anthropic(), "run1", RunOptions::default())
        .unwrap()
        .state()
        .clone();
    let other = BatchRun::resume(like_openai("openai"), state, RunOptions::default());
    assert_eq!(other.unwrap_err().kind(), ErrorKind::InvalidRequest);
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN + seconds)
}

/// Gives a new run as many requests as there are models, ends the input, and polls until the first call.
pub(crate) fn first_call(provider: Arc<dyn Provider>, models: &[&str]) -> (BatchRun, BatchCall) {
    let mut run = BatchRun::new(provider, "run1", RunOptions::default()).unwrap();
    let call = next_call(&mut run, 0, models);
    (run, call)
}

/// Polls until a call is due. Time passes by waiting only.
pub(crate) fn next_call(run: &mut BatchRun, seconds: u64, models: &[&str]) -> BatchCall {
    let mut wall = at(seconds);
    for _ in 0..100 {
        match run.poll(wall) {
            RunStep::Line(line) => match models.get(usize::try_from(line).unwrap()) {
                Some(model) => run.push(&ChatRequest::new(*model).user("Hi.").max_tokens(5)),
                None => run.end_of_input(),
            },
            RunStep::Save => run.saved(),
            RunStep::Wait(until) => wall = until,
            RunStep::Call(call) => return call,
            other => panic!("{other:?}"),
        }
    }
    panic!("no call is made: {run:?}");
}

/// Polls until the run is over, and gives all outcomes. Every call is answered with `error`.
fn outcomes_until_done(
    run: &mut BatchRun,
    models: &[&str],
    error: impl Fn() -> Error,
) -> BTreeMap<u64, &'static str> {
    let mut outcomes = BTreeMap::new();
    let mut wall = at(0);
    for _ in 0..1000 {
        match run.poll(wall) {
            RunStep::Line(line) => match models.get(usize::try_from(line).unwrap()) {
                Some(model) => run.push(&ChatRequest::new(*model).user("Hi.").max_tokens(5)),
                None => run.end_of_input(),
            },
            RunStep::Save => run.saved(),
            RunStep::Wait(until) => wall = until,
            RunStep::Call(_) => run.on_answer(Err(error()), wall).unwrap(),
            RunStep::Outcome(line, outcome) => {
                assert!(outcomes.insert(line, outcome.as_str()).is_none(), "{line}");
            }
            RunStep::Done => return outcomes,
            other => panic!("{other:?}"),
        }
    }
    panic!("the run does not end: {run:?}");
}

#[test]
fn a_creation_without_a_known_result_is_searched_for_before_it_is_repeated() {
    let cancelled = || Err(Error::new(ErrorKind::Cancelled, "cancelled by the caller"));
    for answer in [cancelled(), Ok(BatchAnswer::Done)] {
        let (mut run, call) = first_call(anthropic(), &["m"]);
        assert!(matches!(call, BatchCall::Create(_)), "{call:?}");
        let is_cancelled = answer.is_err();
        assert_eq!(run.on_answer(answer, at(0)).is_err(), is_cancelled);
        let call = next_call(&mut run, 100, &["m"]);
        assert!(
            matches!(call, BatchCall::Find { page: None, .. }),
            "{call:?}"
        );
    }
}

#[test]
fn requests_are_not_added_again_to_a_batch_that_has_some_of_them() {
    let models = ["m", "m"];
    let (mut run, call) = first_call(like_openai("xai"), &models);
    assert!(matches!(call, BatchCall::Create(_)), "{call:?}");
    let mut batch = ProviderBatch::default();
    batch.id = "b-1".into();
    let created = BatchAnswer::Batch(Box::new(batch.clone()));
    run.on_answer(Ok(created), at(0)).unwrap();
    let call = next_call(&mut run, 100, &models);
    assert!(matches!(call, BatchCall::Add { .. }), "{call:?}");
    let lost = crate::support::error_of(RequestDelivery::MaybeProcessed);
    run.on_answer(Err(lost), at(100)).unwrap();
    let mut counts = BatchCounts::default();
    counts.total = Some(1);
    batch.counts = Some(counts);
    for round in 2..6 {
        let call = next_call(&mut run, round * 100, &models);
        assert!(matches!(call, BatchCall::Retrieve(_)), "{call:?}");
        let described = BatchAnswer::Batch(Box::new(batch.clone()));
        run.on_answer(Ok(described), at(round * 100)).unwrap();
    }
}

#[test]
fn after_a_refused_batch_the_other_lines_are_still_asked_for() {
    for provider in providers() {
        let options = RunOptions::default().max_part_requests(1);
        let mut run = BatchRun::new(provider.clone(), "run1", options).unwrap();
        let refused = || Error::new(ErrorKind::BadRequest, "no").with_status(400);
        let outcomes = outcomes_until_done(&mut run, &["m", "m", "m"], refused);
        let expected = BTreeMap::from([(0, "failed"), (1, "failed"), (2, "failed")]);
        assert_eq!(outcomes, expected, "{}", provider.name());
    }
}

#[test]
fn a_found_batch_is_not_given_up_for_results_without_an_id() {
    let (mut run, _) = first_call(anthropic(), &["m"]);
    let lost = crate::support::error_of(RequestDelivery::MaybeProcessed);
    run.on_answer(Err(lost), at(0)).unwrap();
    let call = next_call(&mut run, 100, &["m"]);
    assert!(
        matches!(call, BatchCall::Find { page: None, .. }),
        "{call:?}"
    );
    let mut batch = ProviderBatch::default();
    batch.id = "b-1".into();
    batch.created_at = Some(BEGIN);
    let mut counts = BatchCounts::default();
    counts.total = Some(1);
    batch.counts = Some(counts);
    let listed = BatchAnswer::Batches(vec![batch.clone()], None);
    run.on_answer(Ok(listed), at(100)).unwrap();
    let call = next_call(&mut run, 200, &["m"]);
    assert!(matches!(call, BatchCall::Retrieve(_)), "{call:?}");
    batch.state = BatchState::Completed;
    batch.results = vec![ResultSource::Lines("b-1".into())];
    let described = BatchAnswer::Batch(Box::new(batch));
    run.on_answer(Ok(described), at(200)).unwrap();
    let call = next_call(&mut run, 300, &["m"]);
    assert!(matches!(call, BatchCall::Results(_)), "{call:?}");
    let unreadable = Error::new(ErrorKind::Protocol, "this line cannot be read");
    run.on_item(BatchItem::new("", ItemOutcome::Failed(unreadable)));
    run.on_answer(Ok(BatchAnswer::Done), at(300)).unwrap();
    let outcomes = outcomes_until_done(&mut run, &["m"], || panic!("another call is made"));
    assert_eq!(outcomes, BTreeMap::from([(0, "lost")]));
}

#[test]
fn a_line_that_waits_for_the_next_batch_is_cancelled_with_the_run() {
    let mut run = BatchRun::new(anthropic(), "run1", RunOptions::default()).unwrap();
    let mut run_of_two_models =
        BatchRun::new(like_openai("openai"), "run1", RunOptions::default()).unwrap();
    for run in [&mut run, &mut run_of_two_models] {
        for (line, model) in ["m", "n"].into_iter().enumerate() {
            let step = run.poll(at(0));
            assert!(matches!(step, RunStep::Line(asked) if asked == line as u64));
            run.push(&ChatRequest::new(model).user("Hi.").max_tokens(5));
        }
        run.cancel();
        let outcomes = outcomes_until_done(run, &[], || panic!("a call is made"));
        assert_eq!(
            outcomes,
            BTreeMap::from([(0, "cancelled"), (1, "cancelled")])
        );
    }
}

#[test]
fn lines_that_the_input_no_longer_has_are_lost() {
    let (mut run, call) = first_call(like_openai("openai"), &["m", "m"]);
    assert!(matches!(call, BatchCall::UploadFile(_)), "{call:?}");
    let busy = Error::new(ErrorKind::ServiceUnavailable, "busy").with_status(503);
    run.on_answer(Err(busy), at(0)).unwrap();
    let outcomes = outcomes_until_done(&mut run, &[], || panic!("a call is made"));
    assert_eq!(outcomes, BTreeMap::from([(0, "lost"), (1, "lost")]));
}
