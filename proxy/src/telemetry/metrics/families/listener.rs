//! What listeners and listener filters count.

use super::super::family::family;

family! {
    /// Scope `listener.ADDRESS.`, see `listener_prefix`.
    ListenerStat as ListenerStats {
        counters {
            downstream_cx_destroy,
            downstream_cx_overflow,
            downstream_cx_overload_reject,
            downstream_cx_transport_socket_connect_timeout,
            downstream_global_cx_overflow,
            downstream_listener_filter_error,
            downstream_listener_filter_remote_close,
            downstream_pre_cx_timeout,
            no_filter_chain_match,
        }
        split_counters { downstream_cx_total }
        gauges { downstream_pre_cx_active }
        split_gauges { downstream_cx_active }
        histograms { downstream_cx_length_ms }
    }
}

family! {
    /// Scope `listener.ADDRESS.http.STAT_PREFIX.`
    ListenerHttpStat as ListenerHttpStats {
        counters {
            downstream_rq_1xx,
            downstream_rq_2xx,
            downstream_rq_3xx,
            downstream_rq_4xx,
            downstream_rq_5xx,
            downstream_rq_completed,
        }
    }
}

count_answers!(
    ListenerHttpStats,
    ListenerHttpStat,
    downstream_rq_completed,
    [downstream_rq_1xx, downstream_rq_2xx, downstream_rq_3xx, downstream_rq_4xx, downstream_rq_5xx]
);

family! {
    /// Scope `tls_inspector.`
    TlsInspectorStat as TlsInspectorStats {
        counters {
            alpn_found,
            alpn_not_found,
            client_hello_too_large,
            sni_found,
            sni_not_found,
            tls_found,
            tls_not_found,
        }
        histograms { bytes_processed }
    }
}

family! {
    /// Scope `http_inspector.`
    HttpInspectorStat as HttpInspectorStats {
        counters { http10_found, http11_found, http2_found, http_not_found, read_error }
    }
}

family! {
    /// Scope `proxy_proto.`, with a `stat_prefix` `proxy_proto.PREFIX.`
    ProxyProtocolStat as ProxyProtocolStats {
        counters {
            not_found_allowed,
            not_found_disallowed,
            v1_disallowed = "versions.v1.disallowed",
            v1_error = "versions.v1.error",
            v1_found = "versions.v1.found",
            v2_disallowed = "versions.v2.disallowed",
            v2_error = "versions.v2.error",
            v2_found = "versions.v2.found",
        }
    }
}
