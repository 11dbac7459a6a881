//! Network filters: authorization of connections, and relaying of bytes.

pub mod direct_response;
pub mod rbac;
pub mod tcp_proxy;

pub use rbac::{RbacNetwork, authorize};
pub use tcp_proxy::TcpProxy;
