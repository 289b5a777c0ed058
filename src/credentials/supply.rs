//! What a source needs of its driver: files, processes and signatures.

use bytes::Bytes;
use std::{fmt, path::PathBuf};

/// A file, a process or a signature that a source of credentials needs. The driver responds with
/// [`Input::Supplied`](crate::sans_io::Input::Supplied); a driver that cannot do it responds with an error of kind
/// [`Unsupported`](std::io::ErrorKind::Unsupported).
#[non_exhaustive]
pub enum Supply {
    /// Read a file.
    ReadFile {
        /// The path.
        path: PathBuf,
        /// Maximum size; a larger file is an error.
        max_bytes: usize,
        /// Which access by other users makes the file an error.
        access: FileAccess,
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
        /// The working directory; `None` means that of this process.
        directory: Option<PathBuf>,
        /// Maximum size of the output; a longer one is an error.
        max_bytes: usize,
    },
    /// Sign by RS256 (RSASSA-PKCS1-v1_5 with SHA-256, RFC 7518 3.3). The result is the signature. The driver does this,
    /// because libraries draw random numbers while they sign, to protect the key. The standard drivers do it with the
    /// feature `rs256`.
    SignRs256 {
        /// The RSA key in PKCS#8, as DER. Secret.
        key: Bytes,
        /// The bytes to sign.
        message: Bytes,
    },
}

/// Access that other users may have to a file that is read. Unix alone has these permissions: elsewhere nothing is
/// checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileAccess {
    /// Any.
    #[default]
    Any,
    /// They may read the file. If they may write it, it is an error.
    Read,
    /// None: if they may read or write the file, or if it is a symbolic link, it is an error.
    None,
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
            Supply::SignRs256 { .. } => f.write_str("SignRs256(..)"),
        }
    }
}

impl fmt::Debug for ProcessCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessCommand(..)")
    }
}
