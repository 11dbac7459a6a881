//! Outlier detection: a replica that keeps failing is left alone for a while. (envoy: config.cluster.v3.OutlierDetection)

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::super::client::Call;
use super::super::error::DemoError;
use super::super::report::Report;
use super::super::services::Mood;
use super::super::shop::Shop;

const COUNT: usize = 100;
/// As in `bootstraps/outlier.yaml`: so many failures in a row eject a host, for two seconds.
const IN_A_ROW: usize = 5;
const BACK_LIMIT: Duration = Duration::from_secs(8);
const CALL: Call = Call::to("/watched");

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Outlier detection: a failing replica is ejected, and comes back")?;
    let troubled = shop.services.troubled();
    troubled.mood.set(Mood::Fails);
    report.sent(&format!(
        "2 x {COUNT} x GET /watched without retries; {} answers 503",
        troubled.name
    ))?;
    let first = shop.client.send(CALL, COUNT, 1).await;
    let second = shop.client.send(CALL, COUNT, 1).await;
    let stats = shop.frontend.stats().await?;
    troubled.mood.set(Mood::Well);
    report.got(&format!("{}, then {}", first.statuses(), second.statuses()))?;
    let (lost, later) = (COUNT - first.with_status(200), COUNT - second.with_status(200));
    let ejected = stats.of("cluster.reviews-watched.outlier_detection.ejections_active");
    report.proof(
        (IN_A_ROW..2 * IN_A_ROW).contains(&lost) && later == 0 && ejected == 1,
        &format!("{lost} failures, then {ejected} replica ejected and {later} failures"),
    )?;

    let start = Instant::now();
    let seen = troubled.seen.get();
    while troubled.seen.get() == seen && start.elapsed() < BACK_LIMIT {
        shop.client.send(CALL, 4, 1).await;
        sleep(Duration::from_millis(50)).await;
    }
    report.proof(
        troubled.seen.get() > seen,
        &format!(
            "{} works again, and got requests after {:.1} s",
            troubled.name,
            start.elapsed().as_secs_f64()
        ),
    )
}
