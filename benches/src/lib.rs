//! What Outrigger costs.
//!
//! [`peers`] drives whole proxies with the same work and compares the CPU time that each of them took.

pub mod peers;
