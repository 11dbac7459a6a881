//! What network filters count. Network RBAC is a `RbacStat`.

use super::super::family::family;

family! {
    /// Scope `tcp.STAT_PREFIX.`
    TcpStat as TcpStats {
        counters {
            downstream_cx_no_route,
            downstream_cx_rx_bytes_total,
            downstream_cx_total,
            downstream_cx_tx_bytes_total,
            downstream_flow_control_paused_reading_total,
            downstream_flow_control_resumed_reading_total,
            idle_timeout,
            max_downstream_connection_duration,
            upstream_flush_total,
        }
        gauges {
            downstream_cx_rx_bytes_buffered,
            downstream_cx_tx_bytes_buffered,
            upstream_flush_active,
        }
    }
}

family! {
    /// Scope `connection_limit.STAT_PREFIX.`
    ConnectionLimitStat as ConnectionLimitStats {
        counters { limited_connections }
        gauges { active_connections }
    }
}

family! {
    /// Scope `local_rate_limit.STAT_PREFIX.`
    NetworkRateLimitStat as NetworkRateLimitStats {
        counters { rate_limited }
    }
}

family! {
    /// Scope `metadata_exchange.` (envoy: contrib istio metadata_exchange)
    MetadataExchangeStat as MetadataExchangeStats {
        counters {
            alpn_protocol_found,
            alpn_protocol_not_found,
            header_not_found,
            initial_header_not_found,
            metadata_added,
        }
    }
}
