//! Envoy's stats: cheap to write, right to read.
//!
//! - `family!` and `families/`: the stats with Envoy's names, declared once
//! - [`Stats`]: the handle to write through; [`Registry`]: makes and finds them
//! - `cells`, `codes`, `instance`, `read`, `interval`: what stands behind a handle
//! - `matcher`, `bounds`, `tags`: what the bootstrap's `stats_config` decides
//! - [`write_text`], [`write_json`], [`write_prometheus`]: what admin answers
//! - [`Series`]: stats with labels made by traffic, under a cap; [`Own`]: metrics that Envoy has not
//!
//! A worker calls [`enter_worker`] when it starts. Nothing here is asynchronous, and no lock stands
//! between a request and its counters.

mod bounds;
mod cells;
mod codes;
mod dump;
mod families;
mod family;
mod instance;
mod interval;
mod json;
mod labels;
mod matcher;
mod number;
mod own;
mod prometheus;
mod quantile;
mod query;
mod read;
mod registry;
mod scope;
mod series;
mod stats;
mod tags;
mod text;
mod text_readout;
mod worker;

#[cfg(test)]
mod tests;

pub use self::bounds::{Bounds, BoundsError};
pub use self::families::*;
pub use self::family::{Codes, Counter, Descriptor, Family, Gauge, Histogram, Kind, Shown};
pub use self::json::write_json;
pub use self::matcher::StatsMatcher;
pub use self::own::Own;
pub use self::prometheus::write_prometheus;
pub use self::query::{BucketMode, QueryError, StatKind, StatsFormat, StatsQuery};
pub use self::read::Samples;
pub use self::registry::{Registry, StatsSpec, StatsSpecError};
pub use self::scope::{cluster_prefix, listener_prefix};
pub use self::series::Series;
pub use self::stats::{Active, Stats};
pub use self::tags::{TagError, TagSpec, TagValue};
pub use self::text::write_text;
pub use self::text_readout::TextReadout;
pub use self::worker::enter_worker;
