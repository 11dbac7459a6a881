//! HTTP/2 (RFC 9113), as a server and as a client.
//!
//! `connection` is the protocol without a socket, `drive` moves its bytes, `server` and `client` are what the rest of the proxy holds of a
//! stream. Heads are decoded straight into ours and written from them; there is no map of headers in between, no task but the
//! connection's, and nothing is kept of a body that nobody has asked for but its window.

mod client;
mod connection;
#[cfg(test)]
mod differential;
mod drive;
mod fields;
mod flood;
mod frame;
mod hpack;
mod reason;
mod server;
mod stream;

pub use client::{ClientStream, Sender};
pub use connection::{Config, Connection, Gone, Handle, Incoming, Over, Role};
pub use drive::Driver;
pub use fields::{BlockLimits, Refusal};
pub use reason::Reason;
pub use server::RequestStream;
pub use stream::Ending;
