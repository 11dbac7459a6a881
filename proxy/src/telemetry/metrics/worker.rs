//! Which worker the calling thread is.
//!
//! Every metric has one set of cells for each worker, which only that worker's thread writes, and one
//! for all other threads (control runtime, tests). The index decides between them on each increment;
//! it is nowhere else in the hot path and never changes after the thread has begun.

use std::cell::Cell;

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Declares the calling thread to be worker `index`, counted from 0; to be called once, before the
/// thread touches a metric.
///
/// Two living threads must not share an index: their increments would overwrite each other. An index
/// beyond the registry's number of workers is harmless: the thread counts among the others.
pub fn enter_worker(index: usize) {
    WORKER.set(index);
}

/// The calling thread's index; `usize::MAX` for a thread that is no worker.
#[inline]
pub(super) fn current() -> usize {
    WORKER.get()
}
