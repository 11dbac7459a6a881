//! Pure decisions of the proxy.
//!
//! Everything here is a function of its arguments: no sockets, no async runtime, no protobuf, no clock
//! (`now` is an argument), no global random numbers (`rng` is an argument). Messages of the control
//! plane are compiled into these types by the proxy's `config` module; requests are seen through
//! [`head`].

pub mod authz;
pub mod breaker;
pub mod bulkhead;
pub mod cors;
mod draw;
pub mod fault;
pub mod fraction;
pub mod head;
pub mod lb;
pub mod matcher;
pub mod outlier;
pub mod retry;
pub mod route;
pub mod timeout;
pub mod verdict;
