//! One read buffer per worker, so that a connection owns none while it waits.

use std::cell::RefCell;

/// Bytes that one read can take.
const SIZE: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// Lends the thread's buffer. What it holds before and after is meaningless.
pub fn with_scratch<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut buffer) => f(&mut buffer),
        // A read inside a read: none exists today, and it would only cost an allocation.
        Err(_) => f(&mut vec![0; SIZE]),
    })
}
