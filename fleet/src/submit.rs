//! Adding the lines of a file or an object to a run.

use crate::{
    FleetError,
    input::parse_line,
    store::{LineInput, RunConfig, Store},
};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// How lines are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmitOptions {
    /// Items that are leased together. Default 64; for provider batches the requests of one batch, default 5,000.
    pub chunk: i32,
    /// Whether only the place of each line is stored. Workers then read the input where it is: the path must mean the same file for all.
    pub by_reference: bool,
}

impl SubmitOptions {
    /// The defaults for a run of calls, or for one of provider batches.
    #[must_use]
    pub fn new(at_provider: bool) -> Self {
        SubmitOptions {
            chunk: if at_provider { 5000 } else { 64 },
            by_reference: false,
        }
    }
}

/// What a submission did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Submitted {
    /// Lines of the input with an id.
    pub lines: u64,
    /// Items that were added.
    pub added: u64,
    /// Lines that are no items: their number from one, and what is wrong.
    pub refused: Vec<(u64, String)>,
    /// Lines that are no items, counted also beyond those listed.
    pub refused_count: u64,
}

/// Lines are added in transactions of this many, or of this many bytes.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;

/// Faulty lines that are listed; further ones are only counted.
const MAX_LISTED: usize = 100;

/// A longer line is refused.
const MAX_LINE: usize = 64 << 20;

/// Adds the items of a file to a run, which is created if it is not there. Repeating it adds what is missing: an id is added once.
///
/// `uri` names the input for workers if lines stay in it: the absolute path, or the URL from which `input` was downloaded.
///
/// # Errors
/// `Refused` if the run exists with another configuration, has an id with another body, or was cancelled; `File` if the input cannot be
/// read. What was added before stays.
pub async fn submit(
    store: &dyn Store,
    config: &RunConfig,
    input: &Path,
    uri: &str,
    options: SubmitOptions,
) -> Result<Submitted, FleetError> {
    let file = File::open(input).map_err(|e| FleetError::file(input, e))?;
    let run = store.open_run(config).await?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut done = Submitted::default();
    let (mut line, mut place, mut number) = (Vec::new(), 0_u64, 0_u64);
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let source = options.by_reference.then_some(uri);
    loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|e| FleetError::file(input, e))?;
        if read == 0 {
            break;
        }
        number += 1;
        let start = place;
        place += read as u64;
        if line.trim_ascii().is_empty() {
            continue;
        }
        match read_line(&line, start, options.by_reference) {
            Ok(item) => {
                bytes += item.body.as_ref().map_or(0, String::len) + item.key.len();
                batch.push(item);
                done.lines += 1;
            }
            Err(what) => {
                done.refused_count += 1;
                if done.refused.len() < MAX_LISTED {
                    done.refused.push((number, what));
                }
            }
        }
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            done.added += store
                .add_inputs(run.id, &batch, source, options.chunk)
                .await?;
            batch.clear();
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        done.added += store
            .add_inputs(run.id, &batch, source, options.chunk)
            .await?;
    }
    store.complete_input(run.id).await?;
    Ok(done)
}

fn read_line(line: &[u8], start: u64, by_reference: bool) -> Result<LineInput, String> {
    if line.len() > MAX_LINE {
        return Err(format!(
            "it has {} bytes; the limit is {MAX_LINE}",
            line.len()
        ));
    }
    let parsed = parse_line(line.trim_ascii())?;
    let mut item = LineInput {
        key: parsed.key,
        ..LineInput::default()
    };
    if by_reference {
        item.place = i64::try_from(start).ok();
        item.size = i32::try_from(line.len()).ok();
    } else {
        item.body = Some(parsed.body.to_owned());
    }
    Ok(item)
}
