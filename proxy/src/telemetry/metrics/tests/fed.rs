//! A registry that is brought to the state in which the real Envoy was when it was recorded.
//!
//! `testdata/envoy/` holds what Envoy 1.40 answered after some dozens of requests through listeners with most
//! of the filters that we have, under the stats configuration of Istio's sidecar (without its matcher)
//! and some histogram bounds: `/stats`, its variants, and `/stats/prometheus`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outrigger_policy::matcher::{StringMatcher, StringRule};

use crate::telemetry::metrics::instance::Source;
use crate::telemetry::metrics::tags::tests::istio;
use crate::telemetry::metrics::*;

pub(super) const STATS: &str = include_str!("../testdata/envoy/stats.txt");
pub(super) const DETAILED: &str = include_str!("../testdata/envoy/detailed.txt");
pub(super) const USED: &str = include_str!("../testdata/envoy/usedonly.txt");

/// Stats of Envoy that nothing in this proxy would feed.
pub(super) const LEFT_OUT: &[&str] = &[
    // HTTP/3 and early data.
    "http3",
    "0_rtt|0rtt",
    "early_data",
    // Envoy's HTTP/2 libraries and METADATA frames, cookies counted by their codec.
    "nghttp2|oghttp2",
    "metadata_",
    "cookie",
    r"http2\.deferred_stream_close",
    r"http2\.header_(count|list_size)",
    r"http2\.outbound_\w+_active",
    // Subset and zone-aware load balancing, preconnecting, routes that come late.
    "lb_subsets_",
    "lb_(zone|local_cluster|recalculate_zone)_",
    "preconnect",
    "route_delayed_total",
    // Queues and conditions inside Envoy.
    "upstream_queue_overloaded",
    "rx_reset_no_error",
    "http1_soft_drain",
    "connections_accepted_per_socket_event",
    "ejections_detected_degradation",
    "total_match_count",
    "assignment_use_cached",
    // Overload actions and draining of TCP proxies.
    r"^tcp\..*(overload|drain)_close",
    "rq_overload_local_reply",
    // OCSP, and the peer's signature algorithm, which rustls does not tell.
    "ocsp",
    "sigalgs",
    // Hot restart, watchdogs, builds of Envoy, its tables of names.
    r"^server\.(hot_restart|parent_connections)",
    r"^server\.(debug_assertion|envoy_|wip_protos|compilation|version)",
    r"^server\.(dropped_stat|stats_recent)",
    "watchdog",
    r"^runtime\.(deprecated|override_dir)",
    // Merging of updates, pinned workers, extension discovery.
    r"^cluster_manager\.(cluster_updated_via_merge|update_)",
    "workers_pinned",
    "extension_config_missing",
    // Filters that we do not have, and the request side of the compressor.
    "admission_control",
    r"^http.*\.health_check\.",
    r"gzip\.request\.",
    "filter_state_name_collision",
];

/// Something that can be brought to a recorded state.
trait Fed {
    /// True if `stat` is a stat of the family.
    fn feed(&self, stat: &str, value: u64, used: bool) -> bool;
    fn sample(&self, stat: &str, value: u64, count: u64) -> bool;
}

impl<F: Family> Fed for Stats<F> {
    fn feed(&self, stat: &str, value: u64, used: bool) -> bool {
        for known in F::STATS {
            let matched = match known.kind {
                Kind::Counter { word } if known.shown == Shown::ByWorkerToo => {
                    on_worker_of(stat, known.name, || self.add(Counter::at(word), value))
                        || stat == known.name
                }
                Kind::Gauge { word, bit } if known.shown == Shown::ByWorkerToo => {
                    let shift = || {
                        if used {
                            self.shift(Gauge::at(word, bit), value.cast_signed());
                        }
                    };
                    on_worker_of(stat, known.name, shift) || stat == known.name
                }
                Kind::Counter { word } if stat == known.name => {
                    self.add(Counter::at(word), value);
                    true
                }
                Kind::Gauge { word, bit } if stat == known.name => {
                    if used {
                        self.set(Gauge::at(word, bit), value);
                    }
                    true
                }
                Kind::Codes { word } => match stat.strip_prefix(known.name).map(str::parse) {
                    Some(Ok(code)) => {
                        (0..value).for_each(|_| self.code(Codes::at(word), code));
                        true
                    }
                    _ => false,
                },
                Kind::Histogram { .. } => stat == known.name,
                _ => false,
            };
            if matched {
                return true;
            }
        }
        false
    }

    fn sample(&self, stat: &str, value: u64, count: u64) -> bool {
        let known = F::STATS.iter().find(|known| known.name == stat);
        let Some(Kind::Histogram { index }) = known.map(|known| known.kind) else { return false };
        (0..count).for_each(|_| self.record(Histogram::at(index), value));
        true
    }
}

/// Runs `write` as the worker that `stat` names before `name`.
fn on_worker_of(stat: &str, name: &str, write: impl FnOnce() + Send) -> bool {
    let Some((worker, rest)) = stat.strip_prefix("worker_").and_then(|stat| stat.split_once('.'))
    else {
        return false;
    };
    if rest != name {
        return false;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            enter_worker(worker.parse().unwrap());
            write();
        });
    });
    true
}

/// The registry and what keeps its stats alive.
pub(super) struct Recorded {
    pub(super) registry: Arc<Registry>,
    fed: Vec<(String, Box<dyn Fed>)>,
    texts: Vec<TextReadout>,
    /// Full names of Envoy's stats that are ours too, and of those that are not.
    pub(super) ours: BTreeSet<String>,
    pub(super) left_out: BTreeSet<String>,
}

/// Istio's stats configuration as it was recorded.
pub(super) fn spec(matcher: StatsMatcher) -> StatsSpec {
    let rule = |rule: fn(Box<[u8]>) -> StringRule, text: &str, bounds: &[f64]| {
        (StringMatcher::new(rule(text.as_bytes().into()), false), bounds.to_vec())
    };
    let up = "cluster.outbound|80||up.ns.svc;.upstream_r";
    StatsSpec {
        use_default_tags: false,
        tags: istio(),
        matcher,
        histogram_bounds: vec![
            rule(StringRule::Prefix, up, &[1.0, 10.0, 100.0, 1000.0]),
            rule(StringRule::Prefix, "http.", &[0.5, 5.0]),
            rule(StringRule::Contains, "upstream_rq_time", &[2.0, 0.1]),
            rule(StringRule::Prefix, "http2", &[8.0]),
            rule(StringRule::Prefix, "listener", &[1.0, 1_000_000.0]),
        ],
    }
}

impl Recorded {
    pub(super) fn new(matcher: StatsMatcher) -> Self {
        let registry = Registry::new(spec(matcher), 2).unwrap();
        let mut this = Self {
            registry,
            fed: Vec::new(),
            texts: Vec::new(),
            ours: BTreeSet::new(),
            left_out: BTreeSet::new(),
        };
        this.make_stats();
        let used: BTreeSet<_> = USED.lines().map(|line| split(line).0).collect();
        for (name, value) in STATS.lines().map(split) {
            let ours = match value.parse() {
                Ok(number) => this.feed(name, number, used.contains(name)),
                Err(_) if value.starts_with('"') => {
                    let text = this.registry.text(name);
                    text.set(value.trim_matches('"'));
                    this.texts.push(text);
                    true
                }
                Err(_) => this.feed(name, 0, false),
            };
            let set = if ours { &mut this.ours } else { &mut this.left_out };
            set.insert(name.to_owned());
        }
        for (name, samples) in details() {
            for (value, count) in samples {
                this.sample(name, value, count);
            }
        }
        this
    }

    fn make<F: Family>(&mut self, scope: &str) {
        self.fed.push((scope.to_owned(), Box::new(self.registry.stats::<F>(scope))));
    }

    fn make_stats(&mut self) {
        let up = cluster_prefix("up", "outbound|80||up.ns.svc;");
        self.make::<ClusterStat>(&up);
        self.make::<SizeStat>(&up);
        self.make::<TimeoutBudgetStat>(&up);
        self.make::<CodeStat>(&format!("{up}external."));
        self.make::<CodeStat>(&format!("{up}internal."));
        self.make::<CodeStat>(&format!("{up}retry."));
        self.make::<CodeStat>("cluster.canary.canary.");
        self.make::<ExtAuthzClusterStat>(&format!("{up}ext_authz.ez."));
        self.make::<RateLimitClusterStat>(&format!("{up}ratelimit.rlp."));
        self.make::<GrpcMethodStat>(&format!("{up}grpc.pkg.Svc.Meth."));
        self.make::<HealthCheckStat>(&format!("{up}health_check."));
        self.make::<OutlierStat>(&format!("{up}outlier_detection."));
        self.make::<RemainingStat>(&format!("{up}circuit_breakers.default."));
        self.make::<Http1Stat>(&format!("{up}http1."));
        self.make::<Http2Stat>("cluster.grpc.h2.http2.");
        self.make::<EdsStat>("cluster.eds.");
        self.make::<RingHashStat>("cluster.dns.ring_hash_lb.");
        self.make::<MaglevStat>("cluster.mag.maglev_lb.");
        for owner in ["cluster.tls", "cluster.grpc.h2", "listener.127.0.0.1_26704"] {
            self.make::<TlsStat>(&format!("{owner}.ssl."));
            let ca = if owner.starts_with('c') { "unnamed_ca_cert_e3b0c442" } else { "sec" };
            self.make::<CertificateStat>(&format!("{owner}.ssl.certificate.{ca}."));
        }
        self.make::<TlsFactoryStat>("listener.127.0.0.1_26704.server_ssl_socket_factory.");
        let http = "http.inbound_0.0.0.0_80;.";
        self.make::<HttpStat>(http);
        self.make::<RouterStat>(http);
        self.make::<CompressorStat>(&format!("{http}compressor.gz.gzip."));
        self.make::<CompressedStat>(&format!("{http}compressor.gz.gzip."));
        self.make::<CorsStat>(&format!("{http}cors."));
        self.make::<ExtAuthzStat>(&format!("{http}ext_authz.ez."));
        self.make::<FaultStat>(&format!("{http}fault."));
        self.make::<JwtStat>(&format!("{http}jwt_authn."));
        for (shadow, prefix) in [
            (false, "rbac."),
            (true, "rbac."),
            (false, "rbac.istio_dry_run_allow_."),
            (true, "rbac.istio_dry_run_deny_."),
        ] {
            match shadow {
                true => self.make::<RbacShadowStat>(&format!("{http}{prefix}")),
                false => self.make::<RbacStat>(&format!("{http}{prefix}")),
            }
        }
        self.make::<RbacStat>("tcp.rbac.");
        self.make::<RbacShadowStat>("tcp.rbac.");
        self.make::<LocalRateLimitStat>("rl_up.http_local_rate_limit.");
        for listener in [listener_prefix("127.0.0.1:26701", ""), listener_prefix("", "tcplisten")] {
            self.make::<ListenerStat>(&listener);
        }
        self.make::<ListenerHttpStat>("listener.127.0.0.1_26701.http.inbound_0.0.0.0_80;.");
        self.make::<SubscriptionStat>("http.outbound_0.0.0.0_8080;.rds.rt.name.");
        self.make::<RdsStat>("http.outbound_0.0.0.0_8080;.rds.rt.name.");
        for scope in ["cluster_manager.cds.", "listener_manager.lds.", "sds.sec."] {
            self.make::<SubscriptionStat>(scope);
        }
        self.make::<ReloadStat>("cluster_manager.cds.");
        self.make::<SdsStat>("sds.sec.");
        for vhost in ["route.rt.", "vcluster.other.", "vcluster.vc1."] {
            self.make::<VirtualClusterStat>(&format!("vhost.vh.one.{vhost}"));
            self.make::<CodeStat>(&format!("vhost.vh.one.{vhost}"));
        }
        self.make::<TcpStat>("tcp.outbound|80||a.b.c.");
        self.make::<ConnectionLimitStat>("connection_limit.cl_p.");
        self.make::<NetworkRateLimitStat>("local_rate_limit.nlr.");
        self.make::<ProxyProtocolStat>("proxy_proto.pfx.");
        self.make::<TlsInspectorStat>("tls_inspector.");
        self.make::<HttpInspectorStat>("http_inspector.");
        self.make::<Http1Stat>("http1.");
        self.make::<Http2Stat>("http2.");
        self.make::<ServerStat>("server.");
        self.make::<ClusterManagerStat>("cluster_manager.");
        self.make::<ListenerManagerStat>("listener_manager.");
        self.make::<RuntimeStat>("runtime.");
        let monitor = "envoy.resource_monitors.global_downstream_max_connections";
        self.make::<OverloadStat>(&format!("overload.{monitor}."));
        self.make::<FilesystemStat>("filesystem.");
        self.make::<GrpcAccessLogStat>("access_logs.grpc_access_log.");
        self.make::<GrpcAccessLogStat>("access_logs.open_telemetry_access_log.");
        self.make::<OpenTelemetryStat>("tracing.opentelemetry.");
        self.make::<ZipkinStat>("tracing.zipkin.");
        self.make::<ControlPlaneStat>("control_plane.");
    }

    fn feed(&self, name: &str, value: u64, used: bool) -> bool {
        self.with_scope(name, |fed, stat| fed.feed(stat, value, used))
    }

    fn sample(&self, name: &str, value: u64, count: u64) -> bool {
        self.with_scope(name, |fed, stat| fed.sample(stat, value, count))
    }

    fn with_scope(&self, name: &str, try_it: impl Fn(&dyn Fed, &str) -> bool) -> bool {
        let scopes = self.fed.iter();
        let mut stats = scopes.filter_map(|(scope, fed)| Some((fed, name.strip_prefix(&**scope)?)));
        stats.any(|(fed, stat)| try_it(&**fed, stat))
    }

    /// The answer to a query.
    pub(super) fn text(&self, pairs: &[(&str, &str)]) -> String {
        let query = StatsQuery::parse(false, pairs.iter().copied()).unwrap();
        let mut out = Vec::new();
        match query.format {
            StatsFormat::Json => write_json(&self.registry, &query, &mut out),
            StatsFormat::Prometheus => write_prometheus(&self.registry, &query, &mut out),
            StatsFormat::Text => write_text(&self.registry, &query, &mut out),
        }
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Number of shards that hold cells.
    pub(super) fn shards(&self) -> usize {
        let sources = self.registry.sources();
        let shards = |source: &Arc<dyn Source>| {
            (0..=source.workers()).filter(|index| source.shard(*index).is_some()).count()
        };
        sources.iter().map(shards).sum()
    }
}

/// Name and value of a line of `/stats`.
pub(super) fn split(line: &str) -> (&str, &str) {
    line.split_once(": ").unwrap_or((line, ""))
}

/// Least value and count of each of Envoy's fine buckets, by histogram.
pub(super) fn details() -> BTreeMap<&'static str, Vec<(u64, u64)>> {
    let mut histograms = BTreeMap::new();
    let mut name = "";
    for line in DETAILED.lines() {
        if let Some(totals) = line.strip_prefix("  totals=") {
            let buckets = totals.split(", ").map(|bucket| {
                let (span, count) = bucket.split_once(':').unwrap();
                let (least, _width) = span.split_once(',').unwrap();
                // Samples are whole, and so is the least of a bucket that holds one.
                (least.parse::<f64>().unwrap().ceil() as u64, count.parse().unwrap())
            });
            histograms.insert(name, buckets.collect());
        } else if let Some(found) = line.strip_suffix(':') {
            name = found;
        }
    }
    histograms
}
