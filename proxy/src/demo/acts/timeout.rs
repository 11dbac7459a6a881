//! A timeout: nobody waits longer than the route allows. (envoy: config.route.v3.RouteAction.timeout)

use super::super::client::Call;
use super::super::error::DemoError;
use super::super::report::Report;
use super::super::shop::Shop;
use super::wide;

const COUNT: usize = 20;
const TIMEOUT_MS: f64 = 200.0;
/// The service would answer after this.
const ANSWER_MS: f64 = 1000.0;

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Timeout: 200 ms, and the service would take 1 s")?;
    let before = shop.frontend.stats().await?;
    report.sent(&format!("{COUNT} x GET /late at once"))?;
    let replies = shop.client.send(Call::to("/late"), COUNT, COUNT).await;
    let after = shop.frontend.stats().await?;
    let timed_out = replies.with_status(504);
    let (first, last) = (replies.quantile_ms(0), replies.quantile_ms(100));
    report.got(&format!("{}, after {first:.0} to {last:.0} ms", replies.statuses()))?;
    report.proof(
        timed_out == COUNT && first >= TIMEOUT_MS && last < ANSWER_MS,
        &format!("{timed_out} of {COUNT} got 504 when their time was over, and not before"),
    )?;
    let counted = after.growth(&before, "cluster.reviews-v2.upstream_rq_timeout");
    report.proof(counted == wide(COUNT), &format!("the proxy counted {counted} timeouts"))
}
