//! Lets go of memory that was freed but is still held by the allocator.

use std::io;
use std::ptr;

/// What is asked of the allocator: `arena.<MALLCTL_ARENAS_ALL>.purge`, ended by a zero. (jemalloc(3))
const PURGE_ALL: &[u8] = b"arena.4096.purge\0";

/// Returns the unused pages of all arenas to the system, which jemalloc would otherwise do some time after the arena is used again.
///
/// # Errors
/// What the allocator says.
pub fn release_heap() -> io::Result<()> {
    // SAFETY: the name ends with a zero byte, and this control neither reads nor writes a value: all other arguments are null or zero, as
    // jemalloc(3) asks for it. The allocator locks what it needs.
    #[allow(unsafe_code, reason = "the allocator's interface is C")]
    let code = unsafe {
        tikv_jemalloc_sys::mallctl(
            PURGE_ALL.as_ptr().cast(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
        )
    };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_stays() {
        let kept: Vec<u64> = (0..100_000).collect();
        drop(vec![1_u8; 8 << 20]);
        release_heap().unwrap();
        assert!(kept.iter().copied().eq(0..100_000));
    }
}
