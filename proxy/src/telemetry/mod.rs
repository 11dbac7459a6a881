//! What is told of the traffic: counters, access logs, causes.

pub mod access_log;
pub mod istio;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod stage;
mod stream_info;
pub mod upstream_codes;

pub use stage::{close, open};
pub use stream_info::{GrpcMessages, StreamInfo, Timing, Told, UpstreamInfo, UpstreamTls};

use access_log::{AccessLog, Record};

/// Writes the log lines of a connection that is no HTTP exchange.
pub fn log_connection(log: &AccessLog, info: &StreamInfo) {
    log.write(&Record::of_connection(info));
}
