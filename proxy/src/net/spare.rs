//! Small buffers that one connection gave back and the next one takes, so that idle connections own none and busy ones allocate none.

use std::cell::RefCell;

/// Buffers that a worker keeps.
const MOST: usize = 64;
/// The largest buffer that is kept: what a body of megabytes needed goes back to the allocator.
const LARGEST: usize = 16 * 1024;
/// The smallest buffer that is made: a head and a small body.
const SMALLEST: usize = 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Gives `buffer` memory if it has none.
pub fn lend(buffer: &mut Vec<u8>) {
    if buffer.capacity() == 0 {
        *buffer = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(SMALLEST));
    }
}

/// Takes the memory of `buffer`, and whatever is in it.
pub fn take_back(buffer: &mut Vec<u8>) {
    if buffer.capacity() == 0 {
        return;
    }
    let mut buffer = std::mem::take(buffer);
    if (SMALLEST..=LARGEST).contains(&buffer.capacity()) {
        buffer.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MOST {
                spare.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_from_one_to_the_next() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        lend(&mut first);
        first.extend_from_slice(b"abc");
        let memory = first.as_ptr();
        take_back(&mut first);
        assert_eq!(first.capacity(), 0);
        lend(&mut second);
        assert!(second.is_empty());
        assert_eq!(second.as_ptr(), memory);
        second.push(1);
        lend(&mut second);
        assert_eq!(second, [1]);
    }

    #[test]
    fn large_buffers_and_too_many_are_not_kept() {
        take_back(&mut Vec::with_capacity(LARGEST + 1));
        take_back(&mut Vec::with_capacity(SMALLEST - 1));
        SPARE.with_borrow(|spare| assert!(spare.is_empty()));
        for _ in 0..2 * MOST {
            take_back(&mut Vec::with_capacity(SMALLEST));
        }
        SPARE.with_borrow(|spare| assert_eq!(spare.len(), MOST));
    }
}
