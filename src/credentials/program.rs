//! Vendors' own command-line programs that print tokens.

use super::{
    Environment, Fetcher, ProcessCommand, Supply,
    errors::{config, excerpt, login, missing, refused},
};
use crate::Error;
use bytes::Bytes;
use std::{io, path::PathBuf, time::Duration};

const LIMIT: Duration = Duration::from_secs(15);
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// A program with which a user has logged in.
pub(super) struct Program {
    /// The name on Unix and on Windows.
    pub(super) name: &'static str,
    pub(super) windows_name: &'static str,
    /// The command with which a user logs in.
    pub(super) login: &'static str,
    /// Texts in its standard error that mean that the user is not logged in.
    pub(super) logged_out: &'static [&'static str],
    /// Additional environment variables.
    pub(super) environment: &'static [(&'static str, &'static str)],
}

impl Program {
    /// Returns its standard output.
    pub(super) async fn run(
        &self,
        io: &Fetcher,
        environment: &Environment,
        arguments: &[&str],
    ) -> Result<Bytes, Error> {
        let Program {
            name,
            login: command,
            ..
        } = self;
        // On Windows a shell runs it.
        let is_plain = |word: &&str| {
            word.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte))
        };
        if let Some(odd) = arguments.iter().find(|word| !is_plain(word)) {
            return Err(config(format!(
                "`{}` is not passed to `{name}`: only letters, digits and `.:/_-` are",
                excerpt(odd)
            )));
        }
        let first = if cfg!(windows) {
            self.windows_name
        } else {
            name
        };
        let words = [first].into_iter().chain(arguments.iter().copied());
        let own = self.environment.iter();
        let supply = Supply::RunProcess {
            command: ProcessCommand::Program(words.map(str::to_owned).collect()),
            environment: own
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            directory: system_directory(environment),
            max_bytes: MAX_OUTPUT_BYTES,
        };
        io.supply(supply, LIMIT).await?.map_err(|error| {
            let what = error.to_string();
            let is_logged_out = self.logged_out.iter().any(|text| what.contains(text));
            let what = excerpt(&what);
            match error.kind() {
                io::ErrorKind::NotFound => {
                    missing(format!("the program `{name}` is not installed"))
                }
                io::ErrorKind::Unsupported => config(format!(
                    "`{name}` is to be run, and the driver of this call runs no processes"
                )),
                io::ErrorKind::TimedOut => config(format!("`{name}` did not end within {LIMIT:?}")),
                _ if is_logged_out => login(format!("`{name}` said: {what}: run `{command}`")),
                _ => refused(format!("`{name}` failed: {what}")),
            }
        })
    }
}

/// A directory in which only an administrator can place a program or a module with the name of one that is looked for.
fn system_directory(environment: &Environment) -> Option<PathBuf> {
    match cfg!(windows) {
        true => environment.get("SYSTEMROOT").map(PathBuf::from),
        false => Some(PathBuf::from("/bin")),
    }
}
