//! A PostgreSQL server from the system's packages, in a folder of its own on a free port.

use super::Folder;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// A server that is stopped when it is dropped.
pub(crate) struct Server {
    folder: Folder,
    programs: PathBuf,
    port: u16,
}

/// The folder with `initdb`, the newest version first.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .filter(|(version, path)| *version >= 14 && path.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

impl Server {
    /// Starts a server. `None`, and a printed line, if PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!(
                "skipped: PostgreSQL 14 or later is not installed (Debian: apt-get install postgresql)"
            );
            return None;
        };
        let folder = Folder::new("postgres");
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = Server {
            folder,
            programs,
            port,
        };
        let folder = server.folder.0.display();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&server.folder.0));
        }
        server.shell(&format!(
            "{}/initdb -D {folder}/data -A trust -U postgres -N >{folder}/initdb.log 2>&1",
            server.programs.display()
        ));
        server.shell(&format!(
            "printf '%s\\n' 'port = {port}' \"listen_addresses = '127.0.0.1'\" \"unix_socket_directories = '{folder}'\" \
             'max_connections = 400' 'shared_buffers = 128MB' >>{folder}/data/postgresql.conf"
        ));
        server.begin();
        Some(server)
    }

    /// The server that the tests of this process share; it ends with the process.
    pub(crate) fn shared() -> Option<&'static Server> {
        static SHARED: OnceLock<Option<Server>> = OnceLock::new();
        SHARED
            .get_or_init(|| {
                let server = Server::start()?;
                server.end_with_this_process();
                Some(server)
            })
            .as_ref()
    }

    pub(crate) fn begin(&self) {
        let (folder, programs) = (self.folder.0.display(), self.programs.display());
        self.shell(&format!(
            "{programs}/pg_ctl -D {folder}/data -l {folder}/log -w start >/dev/null"
        ));
    }

    /// Kills the server as a power cut does.
    pub(crate) fn kill(&self) {
        let (folder, programs) = (self.folder.0.display(), self.programs.display());
        self.shell(&format!(
            "{programs}/pg_ctl -D {folder}/data -m immediate -w stop >/dev/null"
        ));
    }

    /// A new database, as a URL.
    pub(crate) fn database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // `create database` copies a template that only one can read.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (folder, programs) = (self.folder.0.display(), self.programs.display());
        self.shell(&format!(
            "{programs}/createdb -h {folder} -p {} -U postgres {name}",
            self.port
        ));
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs a command as a user that may run the server.
    fn shell(&self, command: &str) {
        match is_root() {
            true => run(Command::new("su")
                .args(["postgres", "-s", "/bin/sh", "-c", command])
                .current_dir("/")),
            false => run(Command::new("sh").args(["-c", command])),
        }
    }

    /// A static value is never dropped: a shell waits for the end of this process and stops the server.
    #[expect(clippy::zombie_processes, reason = "it ends after this process")]
    fn end_with_this_process(&self) {
        let (folder, programs) = (self.folder.0.display(), self.programs.display());
        let stop = format!("{programs}/pg_ctl -D {folder}/data -m immediate stop");
        let stop = match is_root() {
            true => format!("su postgres -s /bin/sh -c '{stop}'"),
            false => stop,
        };
        let script = format!(
            "while kill -0 {} 2>/dev/null; do sleep 0.5; done; cd /; {stop}; rm -rf {folder}",
            std::process::id()
        );
        let null = std::process::Stdio::null;
        Command::new("sh")
            .args(["-c", &script])
            .stdin(null())
            .stdout(null())
            .stderr(null())
            .spawn()
            .unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/root/.").is_ok() && Path::new("/usr/bin/su").exists() && {
        let id = Command::new("id").arg("-u").output().unwrap();
        id.stdout.trim_ascii() == b"0"
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8(output.stderr).unwrap_or_default()
    );
}

/// Reads numbers from a database.
pub(crate) struct Query(tokio_postgres::Client);

impl Query {
    pub(crate) async fn open(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        Query(client)
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.0.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.0.batch_execute(sql).await.unwrap();
    }
}
