//! What the process as a whole counts; written by the control runtime.

use super::super::family::family;

family! {
    /// Scope `server.` The ages and sizes are set just before a dump.
    ServerStat as ServerStats {
        counters { dynamic_unknown_fields, static_unknown_fields }
        gauges {
            concurrency,
            days_until_first_cert_expiring,
            live,
            memory_allocated,
            memory_heap_size,
            memory_physical_size,
            state,
            total_connections,
            uptime,
        }
        histograms { initialization_time_ms }
    }
}

family! {
    /// Scope `cluster_manager.` Updates of hosts are not merged: the last two stay 0.
    ClusterManagerStat as ClusterManagerStats {
        counters {
            cluster_added,
            cluster_modified,
            cluster_removed,
            cluster_updated,
            update_merge_cancelled,
            update_out_of_merge_window,
        }
        gauges { active_clusters, warming_clusters }
    }
}

family! {
    /// Scope `listener_manager.`
    ListenerManagerStat as ListenerManagerStats {
        counters {
            listener_added,
            listener_create_failure,
            listener_create_success,
            listener_in_place_updated,
            listener_modified,
            listener_removed,
            listener_stopped,
        }
        gauges {
            total_filter_chains_draining,
            total_listeners_active,
            total_listeners_draining,
            total_listeners_warming,
            workers_started,
        }
    }
}

family! {
    /// Scope `runtime.`
    RuntimeStat as RuntimeStats {
        counters { load_error, load_success }
        gauges { admin_overrides_active, num_keys, num_layers }
    }
}

family! {
    /// Scope `overload.RESOURCE_MONITOR.`
    OverloadStat as OverloadStats {
        counters { failed_updates }
        gauges { pressure }
    }
}
