//! Files and processes that a source may need.

use bytes::Bytes;
use std::{fmt, path::PathBuf};

/// A file or a process that a source of credentials needs. The driver responds with
/// [`Input::Supplied`](crate::sans_io::Input::Supplied); a driver without files responds with an error of kind
/// [`Unsupported`](std::io::ErrorKind::Unsupported).
#[non_exhaustive]
pub enum Supply {
    /// Read a file.
    ReadFile {
        /// The path.
        path: PathBuf,
        /// Maximum size; a larger file is an error.
        max_bytes: usize,
    },
    /// Replace a file: write a new one next to it, readable only by its owner, and rename it. The content of `Ok` is
    /// ignored.
    WriteFile {
        /// The path.
        path: PathBuf,
        /// The complete content. Secret.
        content: Bytes,
    },
    /// Run a program. The result is its standard output if it ends with status 0, else an error with its standard
    /// error.
    RunProcess {
        /// The program and its arguments. May be secret.
        command: ProcessCommand,
        /// Additional environment variables.
        environment: Vec<(String, String)>,
        /// Maximum size of the output; a longer one is an error.
        max_bytes: usize,
    },
}

/// A program to run.
#[non_exhaustive]
pub enum ProcessCommand {
    /// A command line for the system's shell: `sh -c`, on Windows `cmd /C`.
    Shell(String),
    /// A program and its arguments.
    Program(Vec<String>),
}

impl fmt::Debug for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Supply::ReadFile { path, .. } => f.debug_tuple("ReadFile").field(path).finish(),
            Supply::WriteFile { path, .. } => f.debug_tuple("WriteFile").field(path).finish(),
            // A command line may contain a password.
            Supply::RunProcess { .. } => f.write_str("RunProcess(..)"),
        }
    }
}

impl fmt::Debug for ProcessCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessCommand(..)")
    }
}
