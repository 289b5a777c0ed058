//! What a source may need besides HTTP.

use bytes::Bytes;
use std::{fmt, path::PathBuf};

/// A file or a process that a source of credentials needs. The driver answers with
/// [`Input::Supplied`](crate::sans_io::Input::Supplied); one that has no files answers with an error of kind
/// [`Unsupported`](std::io::ErrorKind::Unsupported).
#[non_exhaustive]
pub enum Supply {
    /// The content of a file.
    ReadFile {
        /// Where it is.
        path: PathBuf,
        /// A larger file is an error.
        max_bytes: usize,
    },
    /// Replaces a file: a new one is written next to it, readable for its owner alone, and renamed. No answer but `Ok` is
    /// needed.
    WriteFile {
        /// Where it is.
        path: PathBuf,
        /// The whole content. Secret.
        content: Bytes,
    },
    /// What a program prints on its standard output, once it has ended with status 0. For another status the answer is an
    /// error with what it printed on its standard error.
    RunProcess {
        /// The program and its arguments. May be secret.
        command: ProcessCommand,
        /// Variables to set besides those of this process.
        environment: Vec<(String, String)>,
        /// A longer output is an error.
        max_bytes: usize,
    },
}

/// A program to run.
#[non_exhaustive]
pub enum ProcessCommand {
    /// A line for the shell of the system: `sh -c`, on Windows `cmd /C`.
    Shell(String),
    /// A program and its arguments.
    Program(Vec<String>),
}

impl fmt::Debug for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Supply::ReadFile { path, .. } => f.debug_tuple("ReadFile").field(path).finish(),
            Supply::WriteFile { path, .. } => f.debug_tuple("WriteFile").field(path).finish(),
            // A command line may have a password in it.
            Supply::RunProcess { .. } => f.write_str("RunProcess(..)"),
        }
    }
}

impl fmt::Debug for ProcessCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessCommand(..)")
    }
}
