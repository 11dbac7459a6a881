//! A directory for the files of one run: bootstraps, logs, certificates, sockets.
//!
//! It is removed when dropped, unless it was told to stay because something failed. Names are short
//! because the path of a unix socket has at most 107 bytes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::{env, fs, process};

use anyhow::{Context as _, Result};

static NEXT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    keep: AtomicBool,
}

impl Scratch {
    /// A new empty directory below the system's temporary one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = place(turn);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, keep: AtomicBool::new(false) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory on disk for whoever reads the failure.
    pub fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep.load(Ordering::Relaxed) {
            // Nothing to do about a file that will not go: the system's temporary directory.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// Removes the directories of this process, when it has to end without dropping them.
pub fn sweep() {
    for turn in 0..NEXT.load(Ordering::Relaxed) {
        drop(fs::remove_dir_all(place(turn)));
    }
}

fn place(turn: u32) -> PathBuf {
    env::temp_dir().join(format!("parity-{}-{turn}", process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_its_owner_unless_kept() {
        let (gone, kept) = {
            let first = Scratch::new().unwrap();
            let second = Scratch::new().unwrap();
            second.keep();
            (first.path().to_owned(), second.path().to_owned())
        };
        assert!(!gone.exists());
        assert!(kept.exists());
        fs::remove_dir_all(kept).unwrap();
    }
}
