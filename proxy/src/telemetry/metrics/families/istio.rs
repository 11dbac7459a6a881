//! What Istio's own filter counts of the mesh. Scope: namespace `istiocustom`, with labels of their own.
//! (envoy: contrib/istio/filters/http/istio_stats)

use super::super::family::family;

family! {
    /// Requests and their sizes, by both workloads and the outcome.
    IstioHttpStat as IstioHttpStats {
        rare_counters { requests_total = "istio_requests_total" }
        rare_histograms {
            request_duration_milliseconds = "istio_request_duration_milliseconds",
            request_bytes = "istio_request_bytes",
            response_bytes = "istio_response_bytes",
        }
    }
}

family! {
    /// Messages of gRPC, by both workloads.
    IstioGrpcStat as IstioGrpcStats {
        rare_counters {
            request_messages_total = "istio_request_messages_total",
            response_messages_total = "istio_response_messages_total",
        }
    }
}

family! {
    /// TCP connections and their bytes, by both workloads and the outcome.
    IstioTcpStat as IstioTcpStats {
        rare_counters {
            tcp_connections_opened_total = "istio_tcp_connections_opened_total",
            tcp_connections_closed_total = "istio_tcp_connections_closed_total",
            tcp_received_bytes_total = "istio_tcp_received_bytes_total",
            tcp_sent_bytes_total = "istio_tcp_sent_bytes_total",
        }
    }
}

family! {
    /// Labels `component` and `tag`: which Istio this proxy belongs to.
    IstioBuildStat as IstioBuildStats {
        gauges { istio_build }
    }
}
