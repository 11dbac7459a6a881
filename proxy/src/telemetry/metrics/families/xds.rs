//! What subscriptions count. The text `version_text` of the same scope is `Registry::text`.

use super::super::family::family;

family! {
    /// Scope `cluster_manager.cds.`, `listener_manager.lds.`, `sds.NAME.` or
    /// `http.STAT_PREFIX.rds.NAME.`
    SubscriptionStat as SubscriptionStats {
        counters { init_fetch_timeout, update_attempt, update_failure, update_rejected, update_success }
        gauges { update_time, version }
        histograms { update_duration }
    }
}

family! {
    /// Scope `cluster.NAME.` of an EDS cluster: what `ClusterStat` does not have.
    EdsStat as EdsStats {
        counters { init_fetch_timeout, update_rejected }
        gauges { update_time }
        histograms { update_duration }
    }
}

family! {
    /// Scope `cluster_manager.cds.`, beside [`SubscriptionStat`].
    ReloadStat as ReloadStats {
        counters { config_reload }
        gauges { config_reload_time_ms }
    }
}

family! {
    /// Scope `http.STAT_PREFIX.rds.NAME.`, beside [`SubscriptionStat`].
    RdsStat as RdsStats {
        counters { config_reload, update_empty }
        gauges { config_reload_time_ms }
    }
}

family! {
    /// Scope `sds.NAME.`, beside [`SubscriptionStat`].
    SdsStat as SdsStats {
        counters { key_rotation_failed }
    }
}

family! {
    /// Scope `control_plane.`, beside the text `control_plane.identifier`.
    ControlPlaneStat as ControlPlaneStats {
        counters { rate_limit_enforced }
        gauges { connected_state, pending_requests }
    }
}
