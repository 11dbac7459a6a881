//! Metrics: what the proxies counted is what happened.

use super::super::error::DemoError;
use super::super::report::Report;
use super::super::shop::Shop;

/// Beginnings of the series that are shown.
const SHOWN: [&str; 4] = [
    "envoy_cluster_upstream_rq_retry_success{envoy_cluster_name=\"reviews-v1\"",
    "envoy_cluster_upstream_rq_active_overflow{envoy_cluster_name=\"reviews-limited\"",
    "envoy_cluster_upstream_rq_timeout{envoy_cluster_name=\"reviews-v2\"",
    "envoy_cluster_outlier_detection_ejections_total{envoy_cluster_name=\"reviews-watched\"",
];
const ALL: &str = "envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"outbound\"";

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Metrics: what was counted is what happened")?;
    report.sent("GET /stats/prometheus to the admin server of the frontend's proxy")?;
    let text = shop.frontend.ask("/stats/prometheus").await?;
    let mut found = 0;
    for wanted in SHOWN {
        if let Some(line) = text.lines().find(|line| line.starts_with(wanted)) {
            found += 1;
            report.got(line)?;
        }
    }
    report.proof(found == SHOWN.len(), &format!("{found} of {} series are there", SHOWN.len()))?;
    let counted = text.lines().find(|line| line.starts_with(ALL));
    let counted = counted.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0);
    let sent = shop.client.sent();
    report.proof(
        counted == sent,
        &format!("the client sent {sent} requests in all acts, the proxy counted {counted}"),
    )?;
    let memory: Option<Vec<f64>> =
        shop.proxies().iter().map(|proxy| proxy.resident_mib()).collect();
    match memory {
        Some(each) => {
            let total: f64 = each.iter().sum();
            report.got(&format!("{total:.0} MiB of memory for all {} proxies together", each.len()))
        }
        None => Ok(()),
    }
}
