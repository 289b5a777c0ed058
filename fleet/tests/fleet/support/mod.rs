//! A PostgreSQL server, a provider that logs each arrival, and worker processes.
#![allow(dead_code, reason = "the tests and the trials use a part each")]

pub(crate) mod database;
pub(crate) mod program;
pub(crate) mod provider;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

/// A folder of this process for a test's files, removed when it is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("fleet-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes lines with these ids, whose prompts are the ids.
    pub(crate) fn input(&self, name: &str, ids: impl Iterator<Item = String>) -> PathBuf {
        let mut text = String::new();
        for id in ids {
            text.push_str(&format!(
                "{{\"custom_id\":\"{id}\",\"body\":{{\"messages\":[{{\"role\":\"user\",\"content\":\"<{id}>\"}}]}}}}\n"
            ));
        }
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
