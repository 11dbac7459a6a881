//! What Outrigger costs.
//!
//! [`functions`] are decisions of a request, each with its surroundings: Criterion takes their time, gungraun counts their instructions. [`exchange`]
//! runs the whole proxy under callgrind and counts what one exchange takes. [`limits`] compares counts with what was reached before. [`peers`] drives
//! whole proxies with the same work and compares the CPU time that each of them took.

pub mod exchange;
pub mod functions;
pub mod limits;
pub mod peers;
pub mod summaries;
