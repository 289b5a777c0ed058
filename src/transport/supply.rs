//! File operations, processes and signatures for sources of credentials, only for the drivers.
#![expect(
    clippy::disallowed_methods,
    reason = "the drivers do what the core must not: files, processes, signatures"
)]

use crate::credentials::{FileAccess, ProcessCommand, Supply};
use bytes::Bytes;
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    thread,
};
use zeroize::Zeroizing;

/// The maximum length of the kept standard error of a program.
const MAX_STDERR_BYTES: usize = 4 * 1024;

/// A running operation. Dropping it kills its process.
pub(super) struct SupplyRun(Arc<Shared>);

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    result: Option<io::Result<Bytes>>,
    waker: Option<Waker>,
    child: Option<Child>,
    is_dropped: bool,
}

impl SupplyRun {
    /// Starts a process on a separate thread, and does everything else immediately.
    pub(super) fn begin(supply: Supply) -> Self {
        let run = SupplyRun(Arc::default());
        match supply {
            Supply::ReadFile {
                path,
                max_bytes,
                access,
            } => run.0.finish(read_file(&path, max_bytes, access)),
            Supply::WriteFile { path, content } => {
                run.0
                    .finish(write_file(&path, &content).map(|()| Bytes::new()));
            }
            Supply::RunProcess {
                command,
                environment,
                directory,
                max_bytes,
            } => {
                let shared = run.0.clone();
                let started = thread::Builder::new()
                    .name("unifiedai-process".to_owned())
                    .spawn(move || {
                        let result = shared.run_process(
                            &command,
                            &environment,
                            directory.as_deref(),
                            max_bytes,
                        );
                        shared.finish(result);
                    });
                if let Err(error) = started {
                    run.0.finish(Err(error));
                }
            }
            Supply::SignRs256 { key, message } => run.0.finish(sign_rs256(&key, &message)),
        }
        run
    }

    /// The result; `None` while it runs, then `waker` is woken at its end.
    pub(super) fn poll(&self, waker: &Waker) -> Option<io::Result<Bytes>> {
        let mut state = self.0.state();
        let result = state.result.take();
        if result.is_none() {
            state.waker = Some(waker.clone());
        }
        result
    }
}

impl Drop for SupplyRun {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_dropped = true;
        if let Some(mut child) = state.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, result: io::Result<Bytes>) {
        let mut state = self.state();
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn run_process(
        &self,
        command: &ProcessCommand,
        environment: &[(String, String)],
        directory: Option<&Path>,
        max_bytes: usize,
    ) -> io::Result<Bytes> {
        let mut command = prepared(command)?;
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        command
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        {
            let mut state = self.state();
            if state.is_dropped {
                let _ = child.kill();
                let _ = child.wait();
                return Err(io::ErrorKind::Interrupted.into());
            }
            state.child = Some(child);
        }
        let errors = thread::Builder::new().spawn(move || read_limited(stderr, MAX_STDERR_BYTES));
        let output = read_limited(stdout, max_bytes.saturating_add(1));
        let errors = errors.ok().and_then(|errors| errors.join().ok());
        let Some(mut child) = self.state().child.take() else {
            return Err(io::ErrorKind::Interrupted.into());
        };
        let status = child.wait()?;
        if output.len() > max_bytes {
            return Err(io::Error::other("it printed too much"));
        }
        if status.success() {
            return Ok(Bytes::from_owner(output));
        }
        let errors = errors.unwrap_or_default();
        let printed = std::str::from_utf8(&errors).unwrap_or("what it printed is not text");
        let kind = match status.code() {
            // A shell's status for a program that it does not find.
            Some(127) => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        Err(io::Error::new(
            kind,
            format!("{status}: {}", printed.trim()),
        ))
    }
}

fn prepared(command: &ProcessCommand) -> io::Result<Command> {
    match command {
        ProcessCommand::Shell(line) => {
            let (shell, option) = match cfg!(windows) {
                true => ("cmd", "/C"),
                false => ("sh", "-c"),
            };
            let mut command = Command::new(shell);
            command.arg(option).arg(line);
            Ok(command)
        }
        ProcessCommand::Program(words) => {
            let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
            let mut command = Command::new(program);
            command.args(arguments);
            Ok(command)
        }
    }
}

/// The first bytes. Further ones are read and dropped, so that the program can end.
fn read_limited(from: Option<impl Read>, max_bytes: usize) -> Zeroizing<Vec<u8>> {
    let mut kept = Zeroizing::new(Vec::with_capacity(max_bytes.min(64 * 1024)));
    let Some(mut from) = from else {
        return kept;
    };
    let mut buffer = Zeroizing::new([0; 4096]);
    loop {
        match from.read(&mut *buffer) {
            Ok(0) => return kept,
            Ok(length) => {
                let room = max_bytes.saturating_sub(kept.len()).min(length);
                kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return kept,
        }
    }
}

fn read_file(path: &Path, max_bytes: usize, access: FileAccess) -> io::Result<Bytes> {
    let metadata = match access {
        FileAccess::None => fs::symlink_metadata(path)?,
        FileAccess::Any | FileAccess::Read => fs::metadata(path)?,
    };
    // A pipe would block.
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    check_access(&metadata, access)?;
    let content = read_limited(Some(fs::File::open(path)?), max_bytes.saturating_add(1));
    if content.len() > max_bytes {
        return Err(io::Error::other(format!(
            "it is larger than {max_bytes} bytes"
        )));
    }
    Ok(Bytes::from_owner(content))
}

#[cfg(unix)]
fn check_access(metadata: &fs::Metadata, access: FileAccess) -> io::Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    match access {
        FileAccess::Read if mode & 0o022 != 0 => Err(io::Error::other(
            "other users may write it: run `chmod go-w` on it",
        )),
        FileAccess::None if mode & 0o077 != 0 => Err(io::Error::other(
            "other users may read or write it: run `chmod 600` on it",
        )),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_access(_: &fs::Metadata, _: FileAccess) -> io::Result<()> {
    Ok(())
}

fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(not(feature = "rs256"))]
fn sign_rs256(_: &[u8], _: &[u8]) -> io::Result<Bytes> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(feature = "rs256")]
fn sign_rs256(key: &[u8], message: &[u8]) -> io::Result<Bytes> {
    use ring::{
        rand::SystemRandom,
        signature::{RSA_PKCS1_SHA256, RsaKeyPair},
    };
    let key = RsaKeyPair::from_pkcs8(key)
        .map_err(|_| io::Error::other("is no RSA key of 2048 to 4096 bits"))?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message,
        &mut signature,
    )
    .map_err(|_| io::Error::other("could not sign"))?;
    Ok(signature.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn wait(run: &SupplyRun) -> io::Result<Bytes> {
        loop {
            if let Some(result) = run.poll(Waker::noop()) {
                return result;
            }
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn shell(line: &str, max_bytes: usize) -> io::Result<Bytes> {
        wait(&SupplyRun::begin(Supply::RunProcess {
            command: ProcessCommand::Shell(line.to_owned()),
            environment: vec![("GIVEN".to_owned(), "value".to_owned())],
            directory: Some(PathBuf::from("/")),
            max_bytes,
        }))
    }

    #[cfg(unix)]
    #[test]
    fn a_process_gives_its_output_or_says_why_not() {
        assert_eq!(shell("printf %s \"$GIVEN\"", 10).unwrap(), "value");
        assert_eq!(shell("pwd", 10).unwrap(), "/\n");
        let failed = shell("echo broken >&2; exit 3", 10).unwrap_err();
        assert!(failed.to_string().contains("broken"), "{failed}");
        assert!(failed.to_string().contains('3'), "{failed}");
        let absent = shell("/nowhere/program", 10).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        assert!(shell("printf 12345678901", 10).is_err());
        // More than a pipe holds, on both outputs.
        let loud = "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero";
        assert!(shell(loud, 10).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_process_that_is_not_waited_for_is_killed() {
        let run = SupplyRun::begin(Supply::RunProcess {
            command: ProcessCommand::Program(vec!["sleep".to_owned(), "600".to_owned()]),
            environment: Vec::new(),
            directory: None,
            max_bytes: 10,
        });
        let shared = run.0.clone();
        while shared.state().child.is_none() && shared.state().result.is_none() {
            thread::park_timeout(Duration::from_millis(2));
        }
        assert!(shared.state().result.is_none());
        drop(run);
        assert!(shared.state().child.is_none());
        loop {
            if let Some(result) = shared.state().result.take() {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::Interrupted);
                break;
            }
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    #[test]
    fn files_are_read_whole_and_replaced_whole() {
        let folder = std::env::temp_dir().join(format!("unifiedai-supply-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("token");
        write_file(&path, b"first").unwrap();
        write_file(&path, b"second").unwrap();
        let read = |path: &Path, max_bytes| read_file(path, max_bytes, FileAccess::Any);
        assert_eq!(read(&path, 6).unwrap(), "second");
        assert!(read(&path, 5).is_err());
        assert_eq!(
            read(&folder.join("none"), 5).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(read(&folder, 5).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_access_is_refused() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = std::env::temp_dir().join(format!("unifiedai-access-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (path, link) = (folder.join("file"), folder.join("link"));
        fs::write(&path, "x").unwrap();
        symlink(&path, &link).unwrap();
        for (mode, read, none) in [
            (0o600, true, true),
            (0o644, true, false),
            (0o664, false, false),
            (0o602, false, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(read_file(&path, 1, FileAccess::Any).is_ok());
            assert_eq!(
                read_file(&path, 1, FileAccess::Read).is_ok(),
                read,
                "{mode:o}"
            );
            assert_eq!(
                read_file(&link, 1, FileAccess::Read).is_ok(),
                read,
                "{mode:o}"
            );
            assert_eq!(
                read_file(&path, 1, FileAccess::None).is_ok(),
                none,
                "{mode:o}"
            );
            assert!(read_file(&link, 1, FileAccess::None).is_err());
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
