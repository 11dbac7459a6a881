//! What callgrind has counted.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The allocator's functions that ask for memory. They are C and stay calls, whatever is inlined around them.
const ALLOCATORS: [&str; 6] = [
    "_rjem_malloc",
    "_rjem_mallocx",
    "_rjem_calloc",
    "_rjem_realloc",
    "_rjem_rallocx",
    "_rjem_aligned_alloc",
];

/// Totals of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// User instructions.
    pub instructions: u64,
    /// Calls of [`ALLOCATORS`].
    pub allocations: u64,
}

impl Profile {
    /// Reads what callgrind has left per thread: `PATH-01`, `PATH-02` and so on. The first thread is left out: it starts the process, which calibrates a
    /// clock for as long as that takes, and then has no part in exchanges.
    ///
    /// # Errors
    /// If a file is none of callgrind's, or none tells of an allocation: then the functions have other names.
    pub fn read(path: &Path) -> Result<Self> {
        let mut sum = Self::default();
        for thread in 2.. {
            let path = PathBuf::from(format!("{}-{thread:02}", path.display()));
            if !path.exists() {
                break;
            }
            let file = File::open(&path)?;
            let profile =
                Self::parse(BufReader::new(file)).with_context(|| path.display().to_string())?;
            sum.instructions += profile.instructions;
            sum.allocations += profile.allocations;
        }
        ensure!(sum.instructions > 0, "{}: no totals of a second thread", path.display());
        ensure!(sum.allocations > 0, "{}: no call of an allocator", path.display());
        Ok(sum)
    }

    /// Lines that matter: `totals: COUNT`; `cfn=(ID) NAME`, or `cfn=(ID)` for a name that was told before, also by `fn=`; then `calls=COUNT POSITION`.
    fn parse(lines: impl BufRead) -> Result<Self> {
        let mut profile = Self::default();
        let mut allocators = HashSet::new();
        let mut calls_allocator = false;
        for line in lines.lines() {
            let line = line?;
            let Some((key, value)) = line.split_once(['=', ':']) else { continue };
            match key {
                "fn" | "cfn" => {
                    let (id, name) = value.split_once(' ').unwrap_or((value, ""));
                    if ALLOCATORS.contains(&name) {
                        allocators.insert(id.to_owned());
                    }
                    calls_allocator = key == "cfn" && allocators.contains(id);
                }
                "calls" if calls_allocator => {
                    let count = value.split(' ').next().unwrap_or_default();
                    profile.allocations += count.parse::<u64>().context("calls=")?;
                }
                "totals" => profile.instructions = value.trim().parse().context("totals:")?,
                _ => {}
            }
        }
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_allocators_are_added_up() {
        let text = "version: 1\nfn=(1) main\n16 400\ncfn=(2) _rjem_malloc\ncalls=3 0\n16 90\n\
                    cfn=(3) free\ncalls=7 0\n16 9\nfn=(4) _rjem_rallocx\n5 5\nfn=(1)\n\
                    cfn=(2)\ncalls=2 0\n17 60\ncfn=(4)\ncalls=1 0\n18 5\ntotals: 12345\n";
        let expected = Profile { instructions: 12_345, allocations: 6 };
        assert_eq!(Profile::parse(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_count_is_refused() {
        assert!(Profile::parse("totals: many".as_bytes()).is_err());
    }
}
