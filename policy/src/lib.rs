//! Pure decisions of the proxy.
//!
//! Everything here is a function of its arguments: no sockets, no async runtime, no protobuf, no clock
//! (`now` is an argument), no global random numbers (`rng` is an argument). Messages of the control
//! plane are compiled into these types by the proxy's `config` module; requests are seen through
//! [`head`].

pub mod authz;
pub mod cors;
pub mod fault;
pub mod fraction;
pub mod head;
pub mod matcher;
pub mod verdict;
