//! Tests of clusters and endpoints.

mod endpoints;
mod names;
mod original_dst;
mod snippet;
mod values;
mod verdicts;

use super::*;
use crate::config::ConfigError;
use crate::config::route::tests::{read, translated};

/// The cluster in some YAML.
fn spec(yaml: &str) -> ClusterSpec {
    let spec: Result<_, ConfigError> = translated(|at, cx| cluster(read(yaml), at, cx)).0;
    spec.unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}
