//! From a cluster's name to a response: attempts, hosts, connections.

pub mod attempt;
mod body;
pub mod cluster;
mod connect;
pub mod counters;
pub mod deadline;
pub mod destinations;
mod dial;
pub mod dns;
pub mod host;
pub mod host_set;
pub mod metadata;
pub mod mirror;
pub mod outlier;
mod plan;
pub mod pool;
mod replay;
pub mod requested_name;
pub mod retry;
pub mod transport;
mod tried;

pub use body::UpstreamBody;
pub use cluster::Cluster;
pub use connect::{Connected, connect};
pub use host::Host;
pub use metadata::Metadata;
pub use plan::Plan;
pub use replay::Replay;
pub use requested_name::RequestedName;
