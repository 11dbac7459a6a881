//! The metrics of the mesh. (istio: `stats.PluginConfig`)

use std::sync::Arc;
use std::time::Duration;

use outrigger_xds_api::istio::stats::{
    MetricConfig, MetricDefinition, PluginConfig as Message, Reporter as ReporterMessage,
};

use crate::config::common::{self, Translated, enumeration};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::listener::Direction;
use crate::telemetry::istio::{
    Changes, Expression, GRPC, HTTP, IstioStats, Metrics, NAMES, Named, Reporter, TCP, next_id,
};
use crate::telemetry::metrics::{IstioBuildStat, IstioGrpcStat, IstioHttpStat, IstioTcpStat};

/// Between two reports of one connection. (envoy: istio_stats)
const INTERVAL: Duration = Duration::from_secs(5);

/// Translates the filter of a listener whose traffic goes in this direction.
pub(in crate::config) fn istio_stats(
    message: Message,
    at: &At<'_>,
    cx: &Cx<'_>,
    direction: Direction,
) -> Translated<Arc<IstioStats>> {
    fields!(cx, at, message => Message {
        used: disable_host_header_fallback, tcp_reporting_duration, metrics, definitions, reporter;
        ignored:
            debug = "it is deprecated",
            max_peer_cache_size = "it is deprecated",
            stat_prefix = "it is deprecated",
            field_separator = "labels are labels",
            value_separator = "labels are labels",
            rotation_interval = "series are kept",
            graceful_deletion_interval = "series are kept";
    });
    let reporter_at = at.field("reporter");
    let reporter = match (enumeration(reporter, &reporter_at)?, direction) {
        (ReporterMessage::ServerGateway, _) => Reporter::Waypoint,
        (ReporterMessage::Unspecified, Direction::Inbound) => Reporter::Destination,
        (ReporterMessage::Unspecified, _) => Reporter::Source,
    };
    let definitions_at = at.field("definitions");
    for (index, message) in definitions.into_iter().enumerate() {
        let at = definitions_at.index(index);
        fields!(cx, at, message => MetricDefinition {
            ignored:
                name = "metrics of the user's own are not kept",
                value = "metrics of the user's own are not kept",
                r#type = "metrics of the user's own are not kept";
        });
    }
    let mut overrides = Overrides::default();
    let metrics_at = at.field("metrics");
    for (index, message) in metrics.into_iter().enumerate() {
        overrides.add(message, &metrics_at.index(index), cx);
    }
    let duration_at = at.field("tcp_reporting_duration");
    let interval = common::duration(tcp_reporting_duration, &duration_at)?.unwrap_or(INTERVAL);
    let mesh = cx.mesh();
    Ok(Arc::new(IstioStats {
        id: next_id(),
        reporter,
        uses_host_header: !disable_host_header_fallback,
        interval: (!interval.is_zero()).then_some(interval),
        http: Metrics::new(HTTP, &overrides.of::<IstioHttpStat>(), &mesh.http),
        grpc: Metrics::new(GRPC, &overrides.of::<IstioGrpcStat>(), &mesh.grpc),
        tcp: Metrics::new(TCP, &overrides.of::<IstioTcpStat>(), &mesh.tcp),
        expressions: overrides.expressions,
        build: build(cx),
        own: mesh.own.clone(),
    }))
}

/// `istio_build{component="proxy",tag="VERSION"}`
fn build(cx: &Cx<'_>) -> crate::telemetry::metrics::IstioBuildStats {
    let own = cx.own();
    let version = match &*own.istio_version {
        "" => "unknown",
        version => version,
    };
    let labels = [("component".into(), "proxy"), ("tag".into(), version)];
    let stats = cx.registry.labelled::<IstioBuildStat>("istiocustom", &labels);
    stats.set(IstioBuildStat::istio_build, 1);
    stats
}

/// Every metric, as configuration names it.
fn all_metrics() -> impl Iterator<Item = &'static str> {
    let (http, grpc) = (IstioHttpStat::METRICS.iter(), IstioGrpcStat::METRICS.iter());
    http.chain(grpc).chain(IstioTcpStat::METRICS).copied()
}

/// What is changed for each metric.
#[derive(Default)]
struct Overrides {
    by_metric: Vec<(&'static str, Changes)>,
    expressions: Vec<Expression>,
    none: Changes,
}

impl Overrides {
    fn add(&mut self, message: MetricConfig, at: &At<'_>, cx: &Cx<'_>) {
        fields!(cx, at, message => MetricConfig {
            used: dimensions, name, tags_to_remove, drop;
            ignored: r#match = "it is not implemented in Istio either";
        });
        let metrics: Vec<_> =
            all_metrics().filter(|metric| name.is_empty() || *metric == name).collect();
        if metrics.is_empty() {
            cx.note_ignored(&at.field("name"), "there is no metric of this name");
        }
        if drop {
            // All of them at once cannot be dropped: it needs a name, as in Istio.
            for metric in metrics.iter().filter(|_| !name.is_empty()) {
                self.changes(metric).is_dropped = true;
            }
            return;
        }
        for (index, tag) in tags_to_remove.iter().enumerate() {
            match NAMES.iter().position(|name| name == tag) {
                Some(place) => metrics
                    .iter()
                    .for_each(|metric| self.changes(metric).overridden.push((place, None))),
                None => {
                    let at = at.field("tags_to_remove");
                    cx.note_ignored(&at.index(index), "it is no standard label");
                }
            }
        }
        let mut dimensions: Vec<_> = dimensions.into_iter().collect();
        dimensions.sort();
        for (label, text) in dimensions {
            let expression = Expression::read(&text);
            if expression == Expression::Unknown {
                let at = at.field("dimensions");
                cx.note_ignored(
                    &at.key(&label),
                    "the expression is not known: its value is 'unknown'",
                );
            }
            let known = self.expressions.iter().position(|held| *held == expression);
            let number = known.unwrap_or_else(|| {
                self.expressions.push(expression);
                self.expressions.len() - 1
            });
            let place = NAMES.iter().position(|name| *name == label);
            for metric in &metrics {
                let changes = self.changes(metric);
                match place {
                    Some(place) => changes.overridden.push((place, Some(number))),
                    None => changes.added.push((label.as_str().into(), number)),
                }
            }
        }
    }

    fn changes(&mut self, metric: &'static str) -> &mut Changes {
        let place = self.by_metric.iter().position(|(name, _)| *name == metric);
        let place = place.unwrap_or_else(|| {
            self.by_metric.push((metric, Changes::default()));
            self.by_metric.len() - 1
        });
        self.by_metric.get_mut(place).map_or(&mut self.none, |(_, changes)| changes)
    }

    /// Changes of the family's metrics, in its order.
    fn of<F: Named>(&self) -> Vec<&Changes> {
        let of = |metric: &&str| {
            let found = self.by_metric.iter().find(|(name, _)| name == metric);
            found.map_or(&self.none, |(_, changes)| changes)
        };
        F::METRICS.iter().map(of).collect()
    }
}
