//! Writing the outcomes of a run to a file, in the order of its items.

use crate::{
    FleetError,
    store::{OutcomeRow, RunState, Store},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Lines with a response.
    pub ok: u64,
    /// Lines with an error.
    pub failed: u64,
    /// Items without an outcome; in a cancelled run they are lines with the error `cancelled`.
    pub missing: u64,
}

/// Items that are read at once.
const PAGE: i64 = 500;

/// Writes a line for each item with an outcome, in the format of OpenAI's batches:
/// `{"custom_id", "response": {"status_code", "request_id", "body"} | null, "error": {"code", "message"} | null}`.
///
/// The file is replaced in one step at the end.
///
/// # Errors
/// `Refused` if there is no such run; `File` if the file cannot be written.
pub async fn export(store: &dyn Store, run: &str, output: &Path) -> Result<Exported, FleetError> {
    let row = store.run(run).await?;
    let mut name = output.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = Path::new(&name);
    let failed = |e: std::io::Error| FleetError::file(part, e);
    let mut writer = BufWriter::with_capacity(1 << 20, File::create(part).map_err(failed)?);
    let mut done = Exported::default();
    let mut after = 0;
    loop {
        let page = store.outcomes(row.id, after, PAGE).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.seq;
        for item in &page {
            if let Some(line) = line(item, row.state, &mut done) {
                writer.write_all(&line).map_err(failed)?;
            }
        }
    }
    let file = writer.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_data().map_err(failed)?;
    std::fs::rename(part, output).map_err(|e| FleetError::file(output, e))?;
    Ok(done)
}

#[derive(Serialize)]
struct Line<'a> {
    custom_id: &'a str,
    response: Option<Response<'a>>,
    error: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Response<'a> {
    status_code: i32,
    request_id: Option<&'a str>,
    body: &'a RawValue,
}

#[derive(Serialize)]
struct Failure<'a> {
    code: &'a str,
    message: &'a str,
}

fn line(item: &OutcomeRow, state: RunState, done: &mut Exported) -> Option<Vec<u8>> {
    let body = item
        .body
        .as_deref()
        .and_then(|body| serde_json::from_str::<&RawValue>(body).ok());
    let known: serde_json::Value = body
        .and_then(|body| serde_json::from_str(body.get()).ok())
        .unwrap_or_default();
    let text = |path: &str| known.pointer(path).and_then(serde_json::Value::as_str);
    let error = |code, message| Line {
        custom_id: &item.key,
        response: None,
        error: Some(Failure { code, message }),
    };
    let line = match item.kind.as_deref() {
        None => {
            done.missing += 1;
            if state != RunState::Cancelled {
                return None;
            }
            error("cancelled", "the run was cancelled before this item's turn")
        }
        Some("ok") => {
            done.ok += 1;
            Line {
                custom_id: &item.key,
                response: Some(Response {
                    status_code: item.status.unwrap_or(200),
                    request_id: text("/provider_metadata/request_id"),
                    body: body?,
                }),
                error: None,
            }
        }
        Some(kind) => {
            done.failed += 1;
            let message = text("/message").unwrap_or(match kind {
                "poison" => "workers that worked on this item alone were lost three times",
                "unknown" => "the call may have been made, and its outcome was lost",
                _ => "no message",
            });
            let mut line = error(kind, message);
            if let (Some(status_code), Some(body)) = (item.status, body) {
                line.response = Some(Response {
                    status_code,
                    request_id: text("/request_id"),
                    body,
                });
            }
            line
        }
    };
    let mut bytes = serde_json::to_vec(&line).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: Option<&str>, status: Option<i32>, body: Option<&str>) -> OutcomeRow {
        OutcomeRow {
            seq: 1,
            key: "a".into(),
            kind: kind.map(str::to_owned),
            status,
            body: body.map(str::to_owned),
        }
    }

    fn text(row: &OutcomeRow, state: RunState) -> Option<String> {
        line(row, state, &mut Exported::default()).map(|line| String::from_utf8(line).unwrap())
    }

    #[test]
    fn a_response_is_written_as_it_is_stored() {
        let body = r#"{"id":"x","n":1.10,"provider_metadata":{"request_id":"r1"}}"#;
        let line = text(&row(Some("ok"), Some(200), Some(body)), RunState::Done).unwrap();
        assert_eq!(
            line,
            format!(
                "{{\"custom_id\":\"a\",\"response\":{{\"status_code\":200,\"request_id\":\"r1\",\"body\":{body}}},\"error\":null}}\n"
            )
        );
    }

    #[test]
    fn errors_have_their_code_and_only_a_cancelled_run_writes_what_is_missing() {
        let body = r#"{"kind":"bad_request","message":"no"}"#;
        let line = text(
            &row(Some("bad_request"), Some(400), Some(body)),
            RunState::Done,
        )
        .unwrap();
        assert!(
            line.contains(r#""error":{"code":"bad_request","message":"no"}"#),
            "{line}"
        );
        assert!(line.contains(r#""status_code":400"#), "{line}");
        assert_eq!(text(&row(None, None, None), RunState::Open), None);
        assert!(
            text(&row(None, None, None), RunState::Cancelled)
                .unwrap()
                .contains("cancelled")
        );
        assert!(
            text(&row(Some("poison"), None, None), RunState::Done)
                .unwrap()
                .contains("three times")
        );
    }
}
