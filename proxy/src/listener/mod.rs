//! From a listening socket to a filter chain.

mod accept;
mod arrival;
mod bind;
mod connection;
pub mod drain;
pub mod filter_chain;
pub mod http_chain;
pub mod inspect;
#[expect(clippy::module_inception, reason = "the field's word for the thing")]
mod listener;
mod manager;
pub mod network;
mod original_dst;
pub mod predicate;

pub use accept::{Accepted, ListenSocket, ListenTask, serve};
pub use connection::Connection;
pub use drain::wake_connections;
pub use http_chain::{Ended, HttpChain};
pub use listener::{Bind, Direction, FilterChain, Listener, Restore, ServerTransport, Terminal};
pub use manager::{BindError, ListenerManager};

use crate::telemetry::metrics::{TlsStat, TlsStats};
use crate::tls::VerifyFailure;

/// Counts why a client's certificate was refused.
fn count_tls_failure(stats: &TlsStats, error: &std::io::Error) {
    stats.inc(match crate::tls::verify_failure(error) {
        Some(VerifyFailure::Missing) => TlsStat::fail_verify_no_cert,
        Some(VerifyFailure::San) => TlsStat::fail_verify_san,
        Some(VerifyFailure::Hash) => TlsStat::fail_verify_cert_hash,
        Some(VerifyFailure::Chain) => TlsStat::fail_verify_error,
        None => TlsStat::connection_error,
    });
}
