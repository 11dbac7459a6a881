//! Addresses and byte streams: the small layer between the proxy and sockets.

mod address;
mod io;
mod own;
mod scratch;
mod sniff;
pub mod spare;
mod splice;
mod traffic;

pub use address::Address;
pub use io::{Io, Stream};
pub use own::{is_loopback, own_address, settle_own_address};
pub use scratch::with_scratch;
pub use sniff::Sniffed;
pub use splice::Splice;
pub use traffic::Traffic;
