//! A circuit breaker: a slow service gets no more than it can bear. (envoy: config.cluster.v3.CircuitBreakers.Thresholds.max_requests)

use super::super::client::Call;
use super::super::error::DemoError;
use super::super::report::Report;
use super::super::shop::Shop;
use super::wide;

const COUNT: usize = 200;
/// As in `bootstraps/breaker.yaml`.
const LIMIT: u32 = 5;

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Circuit breaker: at most 5 requests at once")?;
    let service = shop.services.only_v2();
    service.peak.set(0);
    let before = shop.frontend.stats().await?;
    report.sent(&format!("{COUNT} x GET /slow at once, to a service that takes 0.8 s for each"))?;
    let replies = shop.client.send(Call::to("/slow"), COUNT, COUNT).await;
    let after = shop.frontend.stats().await?;
    let (served, refused) = (replies.with_status(200), replies.with_status(503));
    report.got(&replies.statuses())?;
    let peak = service.peak.get();
    report.proof(
        peak == LIMIT && served > 0 && served + refused == COUNT,
        &format!(
            "the service never saw more than {peak} at once; {refused} were refused at the door"
        ),
    )?;
    let flagged = replies.count(|reply| reply.header("x-envoy-overloaded") == Some("true"));
    report.proof(
        flagged == refused,
        &format!("{flagged} refusals say why: `x-envoy-overloaded: true`"),
    )?;
    let counted = after.growth(&before, "cluster.reviews-limited.upstream_rq_active_overflow");
    report.proof(counted == wide(refused), &format!("the proxy counted {counted} overflows"))?;
    let logged = shop.frontend.logged(" /slow 503 UO ", refused).await;
    report.proof(
        logged.len() == refused,
        &format!("its access log has {} lines with the flag UO, overflow", logged.len()),
    )
}
