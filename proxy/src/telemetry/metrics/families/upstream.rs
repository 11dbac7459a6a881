//! What a cluster counts only if it has, or its first request makes, the thing: codes by origin, health
//! checks, ejections, rings, sizes; and what its hosts and the routes to it count.

use super::super::family::family;

family! {
    /// Scope `cluster.NAME.external.`, `….internal.`, `….canary.` or `….retry.`; made by the first
    /// answer.
    CodeStat as CodeStats {
        rare_counters {
            upstream_rq_1xx,
            upstream_rq_2xx,
            upstream_rq_3xx,
            upstream_rq_4xx,
            upstream_rq_5xx,
            upstream_rq_completed,
        }
        rare_histograms { upstream_rq_time }
        codes { upstream_rq_code = "upstream_rq_" }
    }
}

count_answers!(
    CodeStats,
    CodeStat,
    upstream_rq_completed,
    [upstream_rq_1xx, upstream_rq_2xx, upstream_rq_3xx, upstream_rq_4xx, upstream_rq_5xx],
    upstream_rq_code
);

family! {
    /// Scope `vhost.VIRTUAL_HOST.route.STAT_PREFIX.` or `vhost.VIRTUAL_HOST.vcluster.NAME.`; codes and
    /// times of the same scope are a [`CodeStat`]. (envoy: config.route.v3.Route.stat_prefix, VirtualCluster)
    VirtualClusterStat as VirtualClusterStats {
        counters {
            upstream_rq_retry,
            upstream_rq_retry_limit_exceeded,
            upstream_rq_retry_overflow,
            upstream_rq_retry_success,
            upstream_rq_timeout,
            upstream_rq_total,
        }
    }
}

family! {
    /// Of one host; listed by `/clusters` only: `Stats::detached`.
    HostStat as HostStats {
        counters { cx_connect_fail, cx_total, rq_error, rq_success, rq_timeout, rq_total }
        gauges { cx_active, rq_active }
    }
}

family! {
    /// Scope `cluster.NAME.circuit_breakers.default.` or `….high.`, if its threshold has
    /// `track_remaining`.
    RemainingStat as RemainingStats {
        gauges {
            remaining_cx,
            remaining_cx_pools,
            remaining_pending,
            remaining_retries,
            remaining_rq,
        }
    }
}

family! {
    /// Scope `cluster.NAME.health_check.`
    HealthCheckStat as HealthCheckStats {
        counters { attempt, failure, network_failure, passive_failure, success, verify_cluster }
        gauges { degraded, healthy }
    }
}

family! {
    /// Scope `cluster.NAME.outlier_detection.`
    OutlierStat as OutlierStats {
        counters {
            ejections_consecutive_5xx,
            ejections_detected_consecutive_5xx,
            ejections_detected_consecutive_gateway_failure,
            ejections_detected_consecutive_local_origin_failure,
            ejections_detected_failure_percentage,
            ejections_detected_local_origin_failure_percentage,
            ejections_detected_local_origin_success_rate,
            ejections_detected_success_rate,
            ejections_enforced_consecutive_5xx,
            ejections_enforced_consecutive_gateway_failure,
            ejections_enforced_consecutive_local_origin_failure,
            ejections_enforced_failure_percentage,
            ejections_enforced_local_origin_failure_percentage,
            ejections_enforced_local_origin_success_rate,
            ejections_enforced_success_rate,
            ejections_enforced_total,
            ejections_overflow,
            ejections_success_rate,
            ejections_total,
        }
        gauges { ejections_active }
    }
}

family! {
    /// Scope `cluster.NAME.ring_hash_lb.`
    RingHashStat as RingHashStats {
        gauges { max_hashes_per_host, min_hashes_per_host, size }
    }
}

family! {
    /// Scope `cluster.NAME.maglev_lb.`
    MaglevStat as MaglevStats {
        gauges { max_entries_per_host, min_entries_per_host }
    }
}

family! {
    /// Scope `cluster.NAME.`, if `track_cluster_stats.request_response_sizes` is on.
    SizeStat as SizeStats {
        histograms {
            upstream_rq_body_size,
            upstream_rq_headers_count,
            upstream_rq_headers_size,
            upstream_rs_body_size,
            upstream_rs_headers_count,
            upstream_rs_headers_size,
        }
    }
}

family! {
    /// Scope `cluster.NAME.`, if `track_cluster_stats.timeout_budgets` is on.
    TimeoutBudgetStat as TimeoutBudgetStats {
        histograms {
            upstream_rq_timeout_budget_per_try_percent_used,
            upstream_rq_timeout_budget_percent_used,
        }
    }
}
