//! What is told of the traffic: counters, access logs, causes.

pub mod access_log;
pub mod causes;
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

/// Counts why a connection failed that is no HTTP exchange, if it did, and writes its log lines.
pub fn log_connection(log: &AccessLog, info: &StreamInfo) {
    info.cause.iter().for_each(causes::note);
    log.write(&Record::of_connection(info));
}
