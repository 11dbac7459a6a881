//! Network filters: authorization of connections, and relaying of bytes.

pub mod direct_response;
mod pump;
pub mod rbac;
mod relay;
pub mod tcp_proxy;

pub use rbac::{RbacNetwork, authorize};
pub use tcp_proxy::TcpProxy;
