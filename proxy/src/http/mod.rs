//! HTTP: codecs, the stages that judge and answer requests, the filters, and the downstream edge.

pub mod codec;
pub mod filters;
pub mod forwarding;
pub mod gzip;
pub mod header_ops;
pub mod local_reply;
pub mod manager;
pub mod normalize;
pub mod operation;
pub mod path;
pub mod progress;
pub mod request_id;
pub mod route;
pub mod router;
pub mod serve;
pub mod timer;
pub mod tracing;
pub mod xfcc;

pub use manager::HttpConnectionManager;
