//! Network filters: authorization of connections, and relaying of bytes.

pub mod direct_response;
mod peer_exchange;
mod pump;
pub mod rbac;
mod relay;
pub mod tcp_proxy;

pub use peer_exchange::{Hearing, PeerExchange, Taken};
pub use rbac::{RbacNetwork, authorize};
pub use tcp_proxy::TcpProxy;
