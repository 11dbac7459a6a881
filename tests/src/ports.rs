//! Ports that a proxy under test can be told to listen on.
//!
//! A proxy reads its ports from its bootstrap, so they must be known before it starts. They are taken
//! above the range from which the kernel gives ports to outgoing connections: a port seen to be free
//! here is not stolen by some client socket before the proxy binds it.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

/// The first port above Linux' default `net.ipv4.ip_local_port_range`.
const FIRST: u32 = 61_000;
const COUNT: u32 = 65_536 - FIRST;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 on which nothing listens and that no other call in this process returned,
/// until all of the range was.
///
/// # Errors
/// When every port of the range is taken.
pub fn free_port() -> Result<u16> {
    // Two runs at the same time start at different places of the range.
    let start = process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + start.wrapping_add(turn) % COUNT)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from {FIRST} up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_out_once_and_can_be_bound() {
        let first = free_port().unwrap();
        let second = free_port().unwrap();
        assert_ne!(first, second);
        assert!(u32::from(first) >= FIRST);
        TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
    }
}
