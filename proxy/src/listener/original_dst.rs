//! Where a connection was going before the kernel redirected it here. (envoy: envoy.filters.listener.original_dst)
//!
//! Called by `accept` when a listener has the filter or `use_original_dst`. A connection that nobody redirected is told its own address, if the kernel
//! tracks connections, and nothing otherwise: it then stays where it arrived.

use socket2::SockRef;

use crate::net::{Address, Stream};

/// The destination that the client meant; `None` if the kernel does not know of another.
///
/// The kernel has two tables and keeps IPv4 connections in its own, even those of a socket for both versions.
#[must_use]
pub(super) fn original_destination(stream: &Stream) -> Option<Address> {
    let stream = stream.tcp()?;
    let socket = SockRef::from(stream);
    let is_ipv4 = stream.local_addr().ok()?.ip().to_canonical().is_ipv4();
    let told = if is_ipv4 { socket.original_dst_v4() } else { socket.original_dst_v6() };
    Some(told.ok()?.as_socket()?.into())
}
