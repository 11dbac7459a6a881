//! What codecs count, downstream for the whole process and upstream for each cluster.

use super::super::family::family;

family! {
    /// Scope `http1.` downstream, `cluster.NAME.http1.` upstream.
    Http1Stat as Http1Stats {
        counters {
            dropped_headers_with_underscores,
            requests_rejected_with_underscores_in_headers,
            response_flood,
        }
    }
}

family! {
    /// Scope `http2.` downstream, `cluster.NAME.http2.` upstream.
    Http2Stat as Http2Stats {
        counters {
            dropped_headers_with_underscores,
            goaway_sent,
            header_overflow,
            headers_cb_no_stream,
            inbound_empty_frames_flood,
            inbound_priority_frames_flood,
            inbound_window_update_frames_flood,
            keepalive_timeout,
            outbound_control_flood,
            outbound_flood,
            requests_rejected_with_underscores_in_headers,
            rx_messaging_error,
            rx_reset,
            stream_refused_errors,
            trailers,
            tx_flush_timeout,
            tx_reset,
        }
        gauges { pending_send_bytes, streams_active }
    }
}
