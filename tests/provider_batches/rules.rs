//! The rules that hold for the batches of all providers, and the test of each.
//!
//! | rule | test |
//! |---|---|
//! | 1. results are matched by id, never by order | `run::every_line_has_one_outcome_and_batches_have_the_size_that_is_set`: the last result comes first |
//! | 2. every source of results is read, whatever the final state is | [`a_batch_that_expired_or_was_cancelled_gives_the_results_that_it_has`], [`results_and_errors_are_read_from_both_files`] |
//! | 3. an id without a result is lost, not missing | [`a_line_without_a_result_is_lost`] |
//! | 4. an unknown state is "still running", until the expiry and the patience are over | [`an_unknown_state_is_polled_until_the_patience_is_over`], [`a_batch_that_cannot_be_polled_is_given_up_when_the_patience_is_over`] |
//! | 5. an id of a file that is empty, null or absent is no file | [`an_empty_id_of_a_file_is_no_file`] |
//! | 6. a 404 after a creation is not final, a success without results neither | [`a_batch_that_is_not_found_at_first_is_polled_again`], [`a_success_without_results_is_not_the_end_at_gemini`] |
//! | 7. a creation is written down before, and looked up before it is repeated | `run::nothing_is_made_twice_whatever_fails_and_wherever_the_process_ends`, [`a_batch_of_another_program_is_rejected_by_its_results`] |
//! | 8. a line is the body of a call, and a result is read like the response of a call | `loopback::answer_by_batch_is_answer_by_call` |
//! | 9. bytes limit a batch as well as the number of requests | `run::a_batch_has_no_more_bytes_than_are_allowed_and_no_line_that_is_too_large` |

use crate::{
    run::{BEGIN, at, first_call, next_call},
    support::{Answer, Arrival, anthropic, call, gemini, like_openai},
};
use std::{collections::BTreeMap, sync::Arc, time::SystemTime};
use unifiedai::{
    Error, ErrorKind, Json,
    provider::Provider,
    provider_batch::{
        BatchAnswer, BatchCall, BatchItem, BatchRun, BatchState, ItemOutcome, ProviderBatch,
        ResultSource, RunStep, StoredFile,
    },
    transport::RequestDelivery,
};

const CHAT: &str = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Yes."},"finish_reason":"stop"}]}"#;

/// A description as a provider reads it.
fn described(provider: &Arc<dyn Provider>, body: &str) -> ProviderBatch {
    let ask = BatchCall::Retrieve("b-1".into());
    match call(
        provider,
        ask,
        &[Answer::json(body.to_owned())],
        Arrival::Whole,
    )
    .result
    {
        Ok(BatchAnswer::Batch(batch)) => *batch,
        other => panic!("{other:?}"),
    }
}

fn openai_batch(status: &str, more: &str) -> String {
    let expiry = BEGIN + 86_400;
    format!(
        r#"{{"id":"b-1","status":"{status}","created_at":{BEGIN},"expires_at":{expiry}{more}}}"#
    )
}

/// A run of OpenAI whose batch was created at `at(0)`, and that has just asked for its description.
fn submitted(models: &[&str]) -> (BatchRun, Arc<dyn Provider>) {
    let provider = like_openai("openai");
    let (mut run, mut call) = first_call(provider.clone(), models);
    loop {
        let answer = match call {
            BatchCall::UploadFile(_) => {
                let mut file = StoredFile::default();
                file.id = "f-1".into();
                BatchAnswer::File(file)
            }
            BatchCall::Create(_) => {
                let batch = described(&provider, &openai_batch("validating", ""));
                BatchAnswer::Batch(Box::new(batch))
            }
            BatchCall::Retrieve(_) => return (run, provider),
            other => panic!("{other:?}"),
        };
        run.on_answer(Ok(answer), at(0)).unwrap();
        call = next_call(&mut run, 0, models);
    }
}

fn item(line: u64) -> BatchItem<Json> {
    let body = Json::parse(CHAT.to_owned()).unwrap();
    BatchItem::new(
        format!("run1-{line}"),
        ItemOutcome::Succeeded(Box::new(body)),
    )
}

/// Polls to the end. `answer` answers each call and gives its events. Returns the outcomes, the number of calls, and the seconds
/// that passed.
fn finish(
    run: &mut BatchRun,
    mut answer: impl FnMut(&BatchCall, usize) -> (Vec<BatchItem<Json>>, Result<BatchAnswer, Error>),
) -> (BTreeMap<u64, &'static str>, usize, u64) {
    let (mut outcomes, mut wall, mut calls) = (BTreeMap::new(), at(0), 0);
    for _ in 0..100_000 {
        match run.poll(wall) {
            RunStep::Save => run.saved(),
            RunStep::Wait(until) => wall = until,
            RunStep::Call(call) => {
                let (items, answer) = answer(&call, calls);
                calls += 1;
                items.into_iter().for_each(|item| run.on_item(item));
                run.on_answer(answer, wall).unwrap();
            }
            RunStep::Outcome(line, outcome) => {
                assert!(outcomes.insert(line, outcome.as_str()).is_none(), "{line}");
            }
            RunStep::Done => {
                let passed = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                return (outcomes, calls, passed.as_secs() - BEGIN);
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("the run does not end: {run:?}");
}

/// Answers the call that `submitted` left open, and carries the run to its end with these results.
fn end_with(
    status: &str,
    files: &str,
    mut results: impl FnMut(&str) -> Vec<BatchItem<Json>>,
) -> BTreeMap<u64, &'static str> {
    let (mut run, provider) = submitted(&["m", "m", "m"]);
    let batch = described(&provider, &openai_batch(status, files));
    run.on_answer(Ok(BatchAnswer::Batch(Box::new(batch))), at(100))
        .unwrap();
    let (outcomes, ..) = finish(&mut run, |call, _| match call {
        BatchCall::Results(ResultSource::File(id)) => (results(id), Ok(BatchAnswer::Done)),
        other => panic!("{other:?}"),
    });
    outcomes
}

#[test]
fn a_batch_that_expired_or_was_cancelled_gives_the_results_that_it_has() {
    for (status, rest) in [
        ("expired", "expired"),
        ("cancelled", "cancelled"),
        ("failed", "failed"),
    ] {
        let outcomes = end_with(status, r#","output_file_id":"o""#, |_| vec![item(1)]);
        let expected = BTreeMap::from([(0, rest), (1, "succeeded"), (2, rest)]);
        assert_eq!(outcomes, expected, "{status}");
    }
}

#[test]
fn results_and_errors_are_read_from_both_files() {
    let refused = || Error::new(ErrorKind::BadRequest, "no").with_status(400);
    let outcomes = end_with(
        "completed",
        r#","output_file_id":"o","error_file_id":"e""#,
        |id| match id {
            "o" => vec![item(2), item(0)],
            _ => vec![BatchItem::new("run1-1", ItemOutcome::Failed(refused()))],
        },
    );
    let expected = BTreeMap::from([(0, "succeeded"), (1, "failed"), (2, "succeeded")]);
    assert_eq!(outcomes, expected);
    // Every line failed: there is no file of results.
    let outcomes = end_with(
        "completed",
        r#","output_file_id":null,"error_file_id":"e""#,
        |id| {
            assert_eq!(id, "e");
            let failed =
                |line| BatchItem::new(format!("run1-{line}"), ItemOutcome::Failed(refused()));
            (0..3).map(failed).collect()
        },
    );
    assert!(
        outcomes.values().all(|word| *word == "failed"),
        "{outcomes:?}"
    );
}

#[test]
fn a_line_without_a_result_is_lost() {
    let outcomes = end_with("completed", r#","output_file_id":"o""#, |_| vec![item(2)]);
    assert_eq!(
        outcomes,
        BTreeMap::from([(0, "lost"), (1, "lost"), (2, "succeeded")])
    );
    // "completed" is not "succeeded": without any file all lines are lost.
    let outcomes = end_with("completed", "", |id| panic!("{id}"));
    assert!(
        outcomes.values().all(|word| *word == "lost"),
        "{outcomes:?}"
    );
}

const HOUR: u64 = 3600;

#[test]
fn an_unknown_state_is_polled_until_the_patience_is_over() {
    let (mut run, provider) = submitted(&["m"]);
    let batch = described(&provider, &openai_batch("brand_new", ""));
    assert_eq!(batch.state, BatchState::Running);
    let answer = || Ok(BatchAnswer::Batch(Box::new(batch.clone())));
    run.on_answer(answer(), at(0)).unwrap();
    let (outcomes, polls, passed) = finish(&mut run, |call, _| {
        assert!(matches!(call, BatchCall::Retrieve(_)), "{call:?}");
        (Vec::new(), answer())
    });
    assert_eq!(outcomes, BTreeMap::from([(0, "lost")]));
    // It expires after 24 hours, and the patience is another 24 hours.
    assert!((48 * HOUR..49 * HOUR).contains(&passed), "{passed}");
    assert!(polls > 5000, "{polls}");
}

#[test]
fn a_batch_that_cannot_be_polled_is_given_up_when_the_patience_is_over() {
    let (mut run, _) = submitted(&["m"]);
    let busy = || Error::new(ErrorKind::ServiceUnavailable, "busy").with_status(503);
    run.on_answer(Err(busy()), at(0)).unwrap();
    let (outcomes, _, passed) = finish(&mut run, |_, _| (Vec::new(), Err(busy())));
    assert_eq!(outcomes, BTreeMap::from([(0, "lost")]));
    assert!((48 * HOUR..49 * HOUR).contains(&passed), "{passed}");
}

#[test]
fn an_empty_id_of_a_file_is_no_file() {
    for member in ["", r#","NAME":null"#, r#","NAME":"""#] {
        let openai = ["output_file_id", "error_file_id"].map(|name| member.replace("NAME", name));
        let batch = described(
            &like_openai("openai"),
            &openai_batch("completed", &openai.concat()),
        );
        assert_eq!(batch.results, [], "{member}");
        let mistral = ["output_file", "error_file"].map(|name| member.replace("NAME", name));
        let body = format!(r#"{{"id":"b-1","status":"SUCCESS"{}}}"#, mistral.concat());
        assert_eq!(
            described(&like_openai("mistral"), &body).results,
            [],
            "{member}"
        );
        let input = member.replace("NAME", "input_file_id");
        let batch = described(&like_openai("openai"), &openai_batch("completed", &input));
        assert_eq!(batch.input_file, None, "{member}");
    }
}

#[test]
fn a_batch_that_is_not_found_at_first_is_polled_again() {
    let missing = || Error::new(ErrorKind::NotFound, "no such batch").with_status(404);
    for misses in [3, usize::MAX] {
        let (mut run, provider) = submitted(&["m"]);
        run.on_answer(Err(missing()), at(0)).unwrap();
        let done = openai_batch("completed", r#","output_file_id":"o""#);
        let done = described(&provider, &done);
        let (outcomes, calls, passed) = finish(&mut run, |call, number| match call {
            BatchCall::Retrieve(_) if number < misses => (Vec::new(), Err(missing())),
            BatchCall::Retrieve(_) => (Vec::new(), Ok(BatchAnswer::Batch(Box::new(done.clone())))),
            BatchCall::Results(_) => (vec![item(0)], Ok(BatchAnswer::Done)),
            other => panic!("{other:?}"),
        });
        // A batch that stays missing is given up after some minutes, not after a day.
        let expected = if misses == 3 { "succeeded" } else { "lost" };
        assert_eq!(outcomes, BTreeMap::from([(0, expected)]));
        assert!(
            passed < HOUR && (misses == 3 || passed > 300),
            "{calls} {passed}"
        );
    }
}

#[test]
fn a_success_without_results_is_not_the_end_at_gemini() {
    for file in ["{}", r#"{"responsesFile":null}"#, r#"{"responsesFile":""}"#] {
        let body = format!(
            r#"{{"name":"batches/b","metadata":{{"state":"BATCH_STATE_SUCCEEDED"}},"done":true,"response":{file}}}"#
        );
        let batch = described(&gemini(), &body);
        assert_eq!(batch.state, BatchState::Finalizing, "{file}");
        assert_eq!(batch.results, []);
    }
    let body = r#"{"name":"batches/b","metadata":{"state":"BATCH_STATE_SUCCEEDED"},"response":{"responsesFile":"files/r"}}"#;
    let batch = described(&gemini(), body);
    assert_eq!(batch.state, BatchState::Completed);
    assert_eq!(batch.results, [ResultSource::File("files/r".into())]);
}

/// Anthropic stores neither a tag nor a file: a batch of the same size and time may be that of another program.
#[test]
fn a_batch_of_another_program_is_rejected_by_its_results() {
    let provider = anthropic();
    let body = r#"{"id":"msgbatch_other","processing_status":"ended","request_counts":{"succeeded":1},"created_at":"2026-08-10T00:00:05Z"}"#;
    let other = described(&provider, body);
    let (mut run, call) = first_call(provider, &["m"]);
    assert!(matches!(call, BatchCall::Create(_)), "{call:?}");
    let lost = crate::support::error_of(RequestDelivery::MaybeProcessed);
    run.on_answer(Err(lost), at(0)).unwrap();
    let mut calls = Vec::new();
    for step in 1..20 {
        let seconds = step * 100;
        let call = next_call(&mut run, seconds, &["m"]);
        let answer = match &call {
            BatchCall::Find { .. } => {
                calls.push("find");
                BatchAnswer::Batches(vec![other.clone()], None)
            }
            BatchCall::Retrieve(id) => {
                assert_eq!(id, "msgbatch_other");
                calls.push("retrieve");
                BatchAnswer::Batch(Box::new(other.clone()))
            }
            BatchCall::Results(_) => {
                calls.push("results");
                let body = Json::parse("{}".to_owned()).unwrap();
                let foreign = ItemOutcome::Succeeded(Box::new(body));
                run.on_item(BatchItem::new("question-1", foreign));
                BatchAnswer::Done
            }
            BatchCall::Create(_) => {
                calls.push("create");
                break;
            }
            other => panic!("{other:?}"),
        };
        run.on_answer(Ok(answer), at(seconds)).unwrap();
    }
    // It is not taken a second time, and the list is searched twice before the batch is made again.
    assert_eq!(
        calls,
        ["find", "retrieve", "results", "find", "find", "create"]
    );
}

/// OpenRouter has no call for it, and OpenAI refuses to cancel a batch that is over.
#[test]
fn a_batch_that_cannot_be_cancelled_is_polled_to_its_end() {
    let (mut run, provider) = submitted(&["m"]);
    run.on_answer(
        Ok(BatchAnswer::Batch(Box::new(described(
            &provider,
            &openai_batch("in_progress", ""),
        )))),
        at(0),
    )
    .unwrap();
    run.cancel();
    let done = openai_batch("completed", r#","output_file_id":"o""#);
    let done = described(&provider, &done);
    let mut cancels = 0;
    let (outcomes, _, passed) = finish(&mut run, |call, _| match call {
        BatchCall::Cancel(_) => {
            cancels += 1;
            let error = match cancels {
                1 => Error::new(ErrorKind::RateLimit, "slower").with_status(429),
                _ => Error::new(ErrorKind::Conflict, "it is over").with_status(409),
            };
            (Vec::new(), Err(error))
        }
        BatchCall::Retrieve(_) => (Vec::new(), Ok(BatchAnswer::Batch(Box::new(done.clone())))),
        BatchCall::Results(_) => (vec![item(0)], Ok(BatchAnswer::Done)),
        other => panic!("{other:?}"),
    });
    assert_eq!(outcomes, BTreeMap::from([(0, "succeeded")]));
    assert_eq!(
        cancels, 2,
        "repeated after a refusal that passes, not after a final one"
    );
    assert!(passed < HOUR, "{passed}");
}
