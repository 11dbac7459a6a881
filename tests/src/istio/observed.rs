//! What a process of a mesh has used, as the kernel counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::process::sh;

#[derive(Clone, Copy, Debug)]
pub struct Observed {
    pid: u32,
}

impl Observed {
    pub const fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// CPU time of all threads, in the kernel and out of it.
    ///
    /// # Errors
    /// When the process has gone.
    pub fn cpu(self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The name, in parentheses, may hold spaces.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        let ticks = ticks.sum::<Result<u32, _>>().context("stat")?;
        let per_second: u32 = sh("getconf CLK_TCK")?.trim().parse()?;
        Ok(Duration::from_secs(1) * ticks / per_second)
    }

    /// Memory, with its share of what it has in common with others (PSS), in bytes.
    ///
    /// # Errors
    /// When the process has gone.
    pub fn memory(self) -> Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }
}
