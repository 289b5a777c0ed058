use super::common::bad_usage;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
    time::{Duration, Instant},
};
use unifiedai::{Error, ErrorKind, UnifiedChatResponse};

/// A file to which each result is added as soon as it is there, as one line.
pub(crate) struct Output {
    file: File,
    synced: Instant,
}

#[derive(Serialize)]
struct Line<'a, B> {
    custom_id: Option<&'a str>,
    response: Option<Response<'a, B>>,
    error: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Response<'a, B> {
    status_code: u16,
    request_id: Option<&'a str>,
    body: B,
}

#[derive(Serialize)]
struct Failure<'a> {
    code: &'a str,
    message: &'a str,
}

/// How much a power cut may cost; being killed costs nothing.
const UNSYNCED: Duration = Duration::from_secs(1);

impl Output {
    /// Opens the file, and says for which requests it has a result that stands.
    ///
    /// What does not stand is taken out of the file: a last line that was cut when the program was killed, and errors that
    /// can pass, which are asked for again. A file with lines that are no results is some other file, and is left alone.
    pub(crate) fn open(path: &Path) -> Result<(Self, HashSet<String>), Error> {
        let failed = |e| bad_usage(format!("cannot write {}: {e}", path.display()));
        let (mut standing, mut all_stand, mut number) = (HashSet::new(), true, 0);
        each_line(path, |line| {
            number += 1;
            match ExistingLine::of(line) {
                ExistingLine::Stands(id) => all_stand &= standing.insert(id),
                ExistingLine::Passes => all_stand = false,
                ExistingLine::Foreign => {
                    let what = format!("its line {number} is no result of a batch");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            }
            Ok(())
        })
        .map_err(failed)?;
        if !all_stand {
            keep_results(path).map_err(failed)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        let synced = Instant::now();
        Ok((Output { file, synced }, standing))
    }

    pub(crate) fn write_response(
        &mut self,
        id: &str,
        response: &UnifiedChatResponse,
    ) -> Result<(), Error> {
        let metadata = &response.provider_metadata;
        self.write(&Line {
            custom_id: Some(id),
            response: Some(Response {
                status_code: metadata.status.unwrap_or(200),
                request_id: metadata.request_id.as_deref(),
                body: response,
            }),
            error: None,
        })
    }

    /// What the provider answered is a response with its status; all else is an error without one.
    pub(crate) fn write_error(&mut self, id: Option<&str>, error: &Error) -> Result<(), Error> {
        let response = error.status().filter(|status| *status >= 300);
        let failure = Failure {
            code: error.kind().as_str(),
            message: error.message(),
        };
        self.write(&Line {
            custom_id: id,
            response: response.map(|status_code| Response {
                status_code,
                request_id: error.request_id(),
                body: serde_json::json!({ "error": error }),
            }),
            error: Some(failure),
        })
    }

    fn write<B: Serialize>(&mut self, line: &Line<'_, B>) -> Result<(), Error> {
        let failed = |what: String| bad_usage(format!("cannot write the answers: {what}"));
        let mut text = serde_json::to_vec(line).map_err(|e| failed(e.to_string()))?;
        text.push(b'\n');
        self.file
            .write_all(&text)
            .map_err(|e| failed(e.to_string()))?;
        if self.synced.elapsed() > UNSYNCED {
            self.sync()?;
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.synced = Instant::now();
        self.file
            .sync_data()
            .map_err(|e| bad_usage(format!("cannot write the answers: {e}")))
    }
}

/// What a line of an earlier run is worth.
enum ExistingLine {
    /// A final result of the request of this id.
    Stands(String),
    /// A line that was cut, one without an id, and an error that can pass.
    Passes,
    /// None of this program's lines.
    Foreign,
}

impl ExistingLine {
    fn of(line: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Known {
            custom_id: Option<String>,
            /// It must be there, as it is not in a request.
            #[serde(rename = "response")]
            _response: IgnoredAny,
            error: Option<Code>,
        }
        #[derive(Deserialize)]
        struct Code {
            code: String,
        }
        let is_cut = line.last() != Some(&b'\n');
        match serde_json::from_slice::<Known>(line) {
            Ok(_) if is_cut => ExistingLine::Passes,
            Ok(known) => match (known.custom_id, known.error) {
                (Some(id), None) => ExistingLine::Stands(id),
                (Some(id), Some(error)) if !can_pass(&error.code) => ExistingLine::Stands(id),
                _ => ExistingLine::Passes,
            },
            Err(error) if is_cut && error.is_eof() => ExistingLine::Passes,
            Err(_) => ExistingLine::Foreign,
        }
    }
}

fn can_pass(code: &str) -> bool {
    let mut kinds = ErrorKind::ALL.iter();
    kinds.any(|kind| kind.as_str() == code && kind.is_retryable())
}

/// Replaces the file by one with only the lines that stand, in one step.
fn keep_results(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = Path::new(&name);
    let mut kept = BufWriter::new(File::create(part)?);
    let mut ids = HashSet::new();
    each_line(path, |line| {
        if let ExistingLine::Stands(id) = ExistingLine::of(line) {
            if ids.insert(id) {
                kept.write_all(line)?;
            }
        }
        Ok(())
    })?;
    kept.into_inner()?.sync_data()?;
    std::fs::rename(part, path)
}

fn each_line(path: &Path, mut see: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let (mut lines, mut line) = (BufReader::new(file), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        see(&line)?;
        line.clear();
    }
    Ok(())
}
