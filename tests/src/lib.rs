//! The harness of the tests that run a whole proxy.
//!
//! [`parity`] runs a case file on two binaries and compares what a client, an upstream, the access log
//! and the counters show; [`generate`] does the same with random route tables. [`load`] sends many requests at once. [`istio`] is a whole mesh under the
//! real istiod. The other modules are
//! the ends and tools that both use: recording upstreams, raw clients, certificates, processes. Nothing
//! here knows the proxy's own crates: a proxy is a path.

pub mod admin;
pub mod binary;
pub mod certs;
pub mod child;
pub mod client;
#[allow(clippy::indexing_slicing, reason = "what a JSON value does not hold is null")]
pub mod control;
pub mod generate;
pub mod istio;
pub mod load;
pub mod metadata;
pub mod parity;
pub mod ports;
pub mod proxy;
pub mod scratch;
pub mod stream;
pub mod text;
pub mod tls;
pub mod upstream;
pub mod wire;
