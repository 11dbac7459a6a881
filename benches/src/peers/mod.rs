//! The same work on two proxies, and what it costs on the one in units of the other.
//!
//! [`row::ROWS`] says what is done, [`peer::Peer`] how a proxy is started, [`compare`](compare::compare) runs both in turn, and [`report`] prints what came of
//! it. The figure is the scheduler time of the proxy's process for each request of a fixed rate. A single run says little: machines are noisy, so a ratio is
//! taken within a round and the row's is the median of rounds. Absent: a search for the highest rate, which measures the generator.

pub mod backend;
pub mod compare;
pub mod cores;
pub mod figure;
pub mod identity;
pub mod load;
pub mod message;
pub mod pace;
pub mod peer;
pub mod report;
pub mod round;
pub mod row;
pub mod usage;
