//! What a process has used: scheduler time and memory, as the kernel counts them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

fn of(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// The time that all threads of a process have spent on a core since they began.
///
/// Exact to the nanosecond, unlike `/proc/PID/stat`, which counts in ticks of 10 ms.
///
/// # Errors
/// When there is no such process, or when the kernel does not count.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let folder = of(pid, "task");
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = thread?.path().join("schedstat");
        // A thread may end between the listing and the reading.
        if let Ok(text) = fs::read_to_string(&path) {
            total += on_core(&text).with_context(|| path.display().to_string())?;
        }
    }
    ensure!(!total.is_zero(), "{}: no time counted: is CONFIG_SCHED_INFO on?", folder.display());
    Ok(total)
}

/// The first field of `schedstat`: nanoseconds on a core; then come nanoseconds of waiting and a number of slices.
fn on_core(text: &str) -> Result<Duration> {
    let first = text.split_ascii_whitespace().next().context("an empty schedstat")?;
    Ok(Duration::from_nanos(first.parse()?))
}

/// The memory of a process in KiB, with each shared page divided by the number of those that share it.
///
/// # Errors
/// When the kernel does not say.
pub fn pss_kib(pid: u32) -> Result<u64> {
    let path = of(pid, "smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    pss(&text).with_context(|| path.display().to_string())
}

fn pss(rollup: &str) -> Result<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    Ok(line.trim().strip_suffix("kB").context("Pss is not in kB")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;
    use std::{process, thread};

    use super::*;

    #[test]
    fn the_time_on_a_core_is_the_first_field_not_the_time_of_waiting() {
        assert_eq!(on_core("434919 44727 1\n").unwrap(), Duration::from_nanos(434_919));
        assert!(on_core("").is_err() && on_core("x 1 2").is_err());
    }

    #[test]
    fn memory_is_the_whole_share_not_its_parts() {
        let text = "00400000-7ffc rollup\nRss:   9000 kB\nPss:      1234 kB\nPss_Dirty:  7 kB\n";
        assert_eq!(pss(text).unwrap(), 1234);
        assert!(pss("Pss_Dirty: 7 kB\n").is_err());
    }

    #[test]
    fn a_thread_that_works_is_counted_with_its_process() {
        let pid = process::id();
        let before = cpu_time(pid).unwrap();
        let work = Duration::from_millis(40);
        let spent = thread::spawn(move || {
            let start = Instant::now();
            while start.elapsed() < work {}
            cpu_time(pid).unwrap()
        });
        // A busy machine may give it less than all of that time; none at all would mean that threads are not counted.
        assert!(spent.join().unwrap() - before > work / 8);
        assert!(pss_kib(pid).unwrap() > 100);
    }
}
