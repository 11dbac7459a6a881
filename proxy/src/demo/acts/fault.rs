//! Fault injection: how does the frontend bear errors and delays that do not happen yet? (envoy: extensions.filters.http.fault.v3.HTTPFault)

use std::time::Duration;

use super::super::client::Call;
use super::super::error::DemoError;
use super::super::report::Report;
use super::super::share::Share;
use super::super::shop::Shop;
use super::wide;

const COUNT: usize = 1000;
const ABORTED_PERCENT: f64 = 30.0;
const DELAYED_PERCENT: f64 = 20.0;
/// Nearly the delay of 150 ms: a proxy's timers may be a few milliseconds early.
const NEARLY_DELAY: Duration = Duration::from_millis(140);

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Fault injection: 30 % aborted, 20 % delayed, on purpose")?;
    let before = shop.frontend.stats().await?;
    let reached = shop.services.seen();
    report.sent(&format!("{COUNT} x GET /faulty over 20 connections, to a service that works"))?;
    let replies = shop.client.send(Call::to("/faulty"), COUNT, 20).await;
    let reached = shop.services.seen() - reached;
    let after = shop.frontend.stats().await?;
    let aborted = replies.with_status(418);
    let late = replies.count(|reply| reply.elapsed >= NEARLY_DELAY);
    let delays = after.growth(&before, "http.outbound.fault.delays_injected");
    let aborts = after.growth(&before, "http.outbound.fault.aborts_injected");
    report.got(&replies.statuses())?;
    let share = Share::new(aborted, COUNT, ABORTED_PERCENT);
    report.proof(
        share.is_plausible() && wide(aborted) == aborts && wide(COUNT - aborted) == reached,
        &format!("aborted with 418: {share}; the service saw only the other {reached}"),
    )?;
    let delayed = usize::try_from(delays).unwrap_or(usize::MAX);
    let share = Share::new(delayed, COUNT, DELAYED_PERCENT);
    report.proof(
        share.is_plausible() && late >= delayed,
        &format!("delayed by the proxy: {share}; {late} answers took {NEARLY_DELAY:?} or longer"),
    )
}
