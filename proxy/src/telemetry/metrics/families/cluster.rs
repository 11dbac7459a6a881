//! What every cluster counts. Optional parts (health checks, TLS, codecs, …) are families of their own.

use super::super::family::{Gauge, family};

family! {
    /// Scope `cluster.NAME.`, see `cluster_prefix`.
    ClusterStat as ClusterStats {
        counters {
            assignment_stale,
            assignment_timeout_received,
            bind_errors,
            lb_healthy_panic,
            membership_change,
            original_dst_host_invalid,
            retry_or_shadow_abandoned,
            update_attempt,
            update_empty,
            update_failure,
            update_no_rebuild,
            update_success,
            upstream_cx_close_notify,
            upstream_cx_connect_attempts_exceeded,
            upstream_cx_connect_fail,
            upstream_cx_connect_timeout,
            upstream_cx_destroy,
            upstream_cx_destroy_local,
            upstream_cx_destroy_local_with_active_rq,
            upstream_cx_destroy_remote,
            upstream_cx_destroy_remote_with_active_rq,
            upstream_cx_destroy_with_active_rq,
            upstream_cx_http1_total,
            upstream_cx_http2_total,
            upstream_cx_idle_timeout,
            upstream_cx_max_duration_reached,
            upstream_cx_max_requests,
            upstream_cx_none_healthy,
            upstream_cx_overflow,
            upstream_cx_pool_overflow,
            upstream_cx_protocol_error,
            upstream_cx_rx_bytes_total,
            upstream_cx_total,
            upstream_cx_tx_bytes_total,
            upstream_flow_control_backed_up_total,
            upstream_flow_control_drained_total,
            upstream_flow_control_paused_reading_total,
            upstream_flow_control_resumed_reading_total,
            upstream_internal_redirect_failed_total,
            upstream_internal_redirect_succeeded_total,
            upstream_rq_active_overflow,
            upstream_rq_cancelled,
            upstream_rq_completed,
            upstream_rq_maintenance_mode,
            upstream_rq_max_duration_reached,
            upstream_rq_pending_failure_eject,
            upstream_rq_pending_overflow,
            upstream_rq_pending_total,
            upstream_rq_per_try_idle_timeout,
            upstream_rq_per_try_timeout,
            upstream_rq_retry,
            upstream_rq_retry_backoff_exponential,
            upstream_rq_retry_backoff_ratelimited,
            upstream_rq_retry_limit_exceeded,
            upstream_rq_retry_overflow,
            upstream_rq_retry_success,
            upstream_rq_rx_reset,
            upstream_rq_timeout,
            upstream_rq_total,
            upstream_rq_tx_reset,
        }
        rare_counters {
            upstream_rq_1xx,
            upstream_rq_2xx,
            upstream_rq_3xx,
            upstream_rq_4xx,
            upstream_rq_5xx,
        }
        gauges {
            default_cx_open = "circuit_breakers.default.cx_open",
            default_cx_pool_open = "circuit_breakers.default.cx_pool_open",
            default_rq_open = "circuit_breakers.default.rq_open",
            default_rq_pending_open = "circuit_breakers.default.rq_pending_open",
            default_rq_retry_open = "circuit_breakers.default.rq_retry_open",
            high_cx_open = "circuit_breakers.high.cx_open",
            high_cx_pool_open = "circuit_breakers.high.cx_pool_open",
            high_rq_open = "circuit_breakers.high.rq_open",
            high_rq_pending_open = "circuit_breakers.high.rq_pending_open",
            high_rq_retry_open = "circuit_breakers.high.rq_retry_open",
            max_host_weight,
            membership_degraded,
            membership_excluded,
            membership_healthy,
            membership_total,
            upstream_cx_active,
            upstream_cx_rx_bytes_buffered,
            upstream_cx_tx_bytes_buffered,
            upstream_rq_active,
            upstream_rq_pending_active,
            version,
            warming_state,
        }
        histograms { upstream_cx_connect_ms, upstream_cx_length_ms, upstream_rq_per_cx }
        rare_histograms { upstream_rq_time }
        codes { upstream_rq_code = "upstream_rq_" }
    }
}

count_answers!(
    ClusterStats,
    ClusterStat,
    upstream_rq_completed,
    [upstream_rq_1xx, upstream_rq_2xx, upstream_rq_3xx, upstream_rq_4xx, upstream_rq_5xx],
    upstream_rq_code
);

/// The gauges of the circuit breakers of one priority: 1 while the breaker is full.
#[derive(Clone, Copy)]
pub struct BreakerGauges {
    /// Connections.
    pub cx_open: Gauge<ClusterStat>,
    /// Connection pools.
    pub cx_pool_open: Gauge<ClusterStat>,
    /// Requests.
    pub rq_open: Gauge<ClusterStat>,
    /// Requests that wait for a connection.
    pub rq_pending_open: Gauge<ClusterStat>,
    /// Retries.
    pub rq_retry_open: Gauge<ClusterStat>,
}

/// The gauges of `RoutingPriority::HIGH` or of the default one.
#[must_use]
pub const fn breaker_gauges(high: bool) -> BreakerGauges {
    if high {
        BreakerGauges {
            cx_open: ClusterStat::high_cx_open,
            cx_pool_open: ClusterStat::high_cx_pool_open,
            rq_open: ClusterStat::high_rq_open,
            rq_pending_open: ClusterStat::high_rq_pending_open,
            rq_retry_open: ClusterStat::high_rq_retry_open,
        }
    } else {
        BreakerGauges {
            cx_open: ClusterStat::default_cx_open,
            cx_pool_open: ClusterStat::default_cx_pool_open,
            rq_open: ClusterStat::default_rq_open,
            rq_pending_open: ClusterStat::default_rq_pending_open,
            rq_retry_open: ClusterStat::default_rq_retry_open,
        }
    }
}
