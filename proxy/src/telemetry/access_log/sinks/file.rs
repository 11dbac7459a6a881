//! An open file, shared by all logs that name its path.
//!
//! `/dev/stdout` and `/dev/stderr` are the descriptors themselves: opened by path, a socket could not be, and a file would be written from its
//! begin. Other paths are opened for appending, and for reading too, as Envoy does it: a pipe opens then without a reader.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use super::buffer;
use super::settings;
use super::writer::{Open, Queue};
use crate::telemetry::metrics::{FilesystemStats, Registry};

/// A file that logs write to.
#[derive(Debug)]
pub struct LogFile {
    pub(super) queue: Arc<Queue>,
}

/// What is open, by path.
static FILES: LazyLock<Mutex<HashMap<Box<str>, Weak<LogFile>>>> = LazyLock::new(Mutex::default);

impl LogFile {
    /// The file of this path, opened and created if need be. Its counters are the `filesystem.*` of the registry.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &str, registry: &Arc<Registry>) -> io::Result<Arc<Self>> {
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(path).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let stats: FilesystemStats = registry.stats("filesystem.");
        let (opened, open) = match path {
            "/dev/stdout" => (duplicate(&io::stdout())?, None),
            "/dev/stderr" => (duplicate(&io::stderr())?, None),
            _ => {
                let path: Box<str> = path.into();
                let open: Open = Box::new(move || append(&path));
                (open()?, Some(open))
            }
        };
        let queue = Queue::start(opened, open, stats, settings().dropped.clone())?;
        let file = Arc::new(Self { queue });
        files.retain(|_, file| file.strong_count() > 0);
        files.insert(path.into(), Arc::downgrade(&file));
        Ok(file)
    }

    /// Appends what `write` appends, as one line, to the calling thread's buffer for this file.
    pub fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        buffer::line(&self.queue, write);
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn duplicate(stream: &impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

fn append(path: &str) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

/// All open files.
pub(super) fn all() -> Vec<Arc<LogFile>> {
    let files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    files.values().filter_map(Weak::upgrade).collect()
}

/// Opens all files anew, after they were moved away. For `SIGUSR1` and the admin's `/reopen_logs`.
pub fn reopen() {
    for file in all() {
        file.queue.reopen();
    }
}
