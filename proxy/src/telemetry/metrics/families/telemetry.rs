//! What access logs and tracers count.

use super::super::family::family;

family! {
    /// Scope `filesystem.`
    FilesystemStat as FilesystemStats {
        counters { flushed_by_timer, reopen_failed, write_buffered, write_completed, write_failed }
        gauges { write_total_buffered }
    }
}

family! {
    /// Scope `access_logs.grpc_access_log.` or `access_logs.open_telemetry_access_log.`
    GrpcAccessLogStat as GrpcAccessLogStats {
        counters { grpc_entries_flush_failed, grpc_entries_flushed, logs_dropped, logs_written }
    }
}

family! {
    /// Scope `tracing.opentelemetry.`
    OpenTelemetryStat as OpenTelemetryStats {
        counters { spans_dropped, spans_sent, timer_flushed }
    }
}

family! {
    /// Scope `tracing.zipkin.`
    ZipkinStat as ZipkinStats {
        counters {
            reports_dropped,
            reports_failed,
            reports_sent,
            reports_skipped_no_cluster,
            spans_sent,
            timer_flushed,
        }
    }
}
