//! Which core does what: the proxy has one for itself, load and backend share another.

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The two cores of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    proxy: usize,
    load: usize,
}

impl Cores {
    /// The last two cores on which this process may run: the first ones serve interrupts.
    ///
    /// # Errors
    /// When there is only one: a generator that takes its time from the proxy measures itself.
    pub fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut last = (0..CpuSet::MAX_CPU).rev().filter(|core| allowed.is_set(*core));
        let proxy = last.next().context("no core")?;
        let load = last.next().context("a comparison needs two cores")?;
        Ok(Self { proxy, load })
    }

    /// Keeps the calling thread, and what it starts from now on, on the core of load and backend.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pin_load(self) -> Result<()> {
        pin(self.load)
    }

    /// Calls `start` on the proxy's core: a process that it starts stays there, with all of its threads.
    ///
    /// # Errors
    /// Those of `start`, and when the kernel refuses.
    pub fn beside<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        pin(self.proxy)?;
        let started = start();
        self.pin_load()?;
        started
    }
}

fn pin(core: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).with_context(|| format!("cannot pin to core {core}"))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_started_beside_runs_on_another_core_than_the_load() {
        // A thread of its own: a pinned thread of the test runner would stay pinned.
        let runs = || {
            let Ok(cores) = Cores::choose() else { return };
            cores.pin_load().unwrap();
            let of_load = sched_getaffinity(None).unwrap();
            let of_proxy = cores.beside(|| Ok(sched_getaffinity(None)?)).unwrap();
            assert_eq!((of_load.count(), of_proxy.count()), (1, 1));
            assert!(of_load != of_proxy);
            assert!(sched_getaffinity(None).unwrap() == of_load);
        };
        thread::spawn(runs).join().unwrap();
    }
}
