//! Where resources come from.

pub mod filesystem;
pub mod grpc;
