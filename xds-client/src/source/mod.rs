//! Where resources come from.

pub mod filesystem;
