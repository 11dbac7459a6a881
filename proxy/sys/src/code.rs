//! Lets go of the pages of the program's code; those that still run come back at the next touch.

use std::ffi::c_void;
use std::{fs, io, ptr};

use rustix::mm::{Advice, madvise};

/// Gives back the memory in which the program's own code is mapped, as far as it is not needed any more: what runs again is read from the file
/// again, mostly from the page cache. Returns how many bytes of address space it was said of.
///
/// # Errors
/// Those of reading `/proc/self/maps` and of `madvise`.
pub fn release_code() -> io::Result<usize> {
    let program = fs::read_link("/proc/self/exe")?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut released = 0;
    for (start, length) in maps.lines().filter_map(|line| code_of(line, program.to_str()?)) {
        let start = ptr::with_exposed_provenance_mut::<c_void>(start);
        // SAFETY: the range is a whole mapping of this process, private, of a file, and not writable: the linker makes no relocations
        // in it and nobody has changed its protection, so its pages hold what the file holds. To drop them changes nothing that can be
        // read: the next access maps the same bytes. Other threads may run in it meanwhile, and only fault.
        #[allow(unsafe_code, reason = "there is no safe form; see above")]
        unsafe {
            madvise(start, length, Advice::LinuxDontNeed)?;
        }
        released += length;
    }
    Ok(released)
}

/// Start and length of a mapping that holds code of `program`, given a line of `/proc/self/maps`. (proc_pid_maps(5))
fn code_of(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut fields = line.splitn(6, ' ');
    let (range, permissions) = (fields.next()?, fields.next()?);
    if permissions != "r-xp" || fields.nth(3)?.trim_start() != program {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_counts() {
        let code = "55d0f0a00000-55d0f0b00000 r-xp 003ae000 fe:00 1049 /opt/a b/proxy";
        let spaces =
            "55d0f0a00000-55d0f0b00000 r-xp 003ae000 fe:00 1049                 /opt/a b/proxy";
        assert_eq!(code_of(code, "/opt/a b/proxy"), Some((0x55d0_f0a0_0000, 0x10_0000)));
        assert_eq!(code_of(spaces, "/opt/a b/proxy"), Some((0x55d0_f0a0_0000, 0x10_0000)));
        for (line, program) in [
            (code, "/opt/a"),
            ("55d0f0a00000-55d0f0b00000 r--p 00000000 fe:00 1049 /opt/proxy", "/opt/proxy"),
            ("55d0f0a00000-55d0f0b00000 rwxp 00000000 fe:00 1049 /opt/proxy", "/opt/proxy"),
            ("55d0f0a00000-55d0f0b00000 r-xs 00000000 fe:00 1049 /opt/proxy", "/opt/proxy"),
            ("7ffc0-7ffc1 r-xp 00000000 00:00 0 [vdso]", "/opt/proxy"),
            ("55d0f0b00000-55d0f0a00000 r-xp 00000000 fe:00 1049 /opt/proxy", "/opt/proxy"),
            ("x-y r-xp 00000000 fe:00 1049 /opt/proxy", "/opt/proxy"),
            ("", ""),
        ] {
            assert_eq!(code_of(line, program), None, "{line}");
        }
    }

    #[test]
    fn code_that_was_let_go_still_runs() {
        let running = std::thread::spawn(|| (0..2_000_000_u64).map(|n| n.rotate_left(7) ^ n).max());
        for _ in 0..20 {
            assert!(release_code().unwrap() > 0);
        }
        assert!(running.join().unwrap().is_some());
    }
}
