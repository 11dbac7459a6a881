//! Tests of route configurations and of what stands in them.

mod overrides;
mod snippet;
mod values;
mod verdicts;

use std::sync::{Arc, LazyLock};

use outrigger_xds_api::{Document, Pool, Unknown};

use super::*;
use crate::config::{ConfigError, Ignored};
use crate::http::route::Route;
use crate::telemetry::metrics::{Registry, StatsSpec};

static POOL: LazyLock<Pool> = LazyLock::new(Pool::load);

/// The message in some YAML.
pub(in crate::config) fn read<M: prost::Message + prost::Name + Default>(yaml: &str) -> M {
    let document = Document::yaml("snippet", yaml);
    document
        .and_then(|document| document.read(&POOL, Unknown::Refuse))
        .unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// Calls `translate` in surroundings that know the clusters `one` and `two`; also returns what was ignored.
pub(in crate::config) fn translated<T>(
    translate: impl FnOnce(&At<'_>, &Cx<'_>) -> T,
) -> (T, Vec<Ignored>) {
    static REGISTRY: LazyLock<Arc<Registry>> =
        LazyLock::new(|| Registry::new(StatsSpec::default(), 1).unwrap());
    let knows = |name: &str| matches!(name, "one" | "two");
    let cx = Cx::new(&REGISTRY).with_clusters(&knows);
    let translated = translate(&At::root(""), &cx);
    (translated, cx.take_ignored())
}

/// The table in some YAML, as in a connection manager.
fn inline(yaml: &str) -> Result<RouteTable, ConfigError> {
    translated(|at, cx| inline_table(read(yaml), at, cx)).0
}

/// The first route of a table.
fn first_route(table: &RouteTable) -> Arc<Route> {
    table.virtual_hosts()[0].routes()[0].clone()
}
