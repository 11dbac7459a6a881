//! Retries: a replica that hangs up costs nobody an answer. (envoy: config.route.v3.RetryPolicy)

use super::super::client::Call;
use super::super::error::DemoError;
use super::super::report::Report;
use super::super::services::Mood;
use super::super::shop::Shop;
use super::wide;

const ONCE: usize = 100;
const RETRIED: usize = 300;

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Retries: one of four replicas hangs up on everybody")?;
    let troubled = shop.services.troubled();
    troubled.mood.set(Mood::HangsUp);
    let seen = troubled.seen.get();
    report.sent(&format!("{ONCE} x GET /once, a route without retries"))?;
    let once = shop.client.send(Call::to("/once"), ONCE, 2).await;
    let hung_up = troubled.seen.get() - seen;
    let lost = ONCE - once.with_status(200);
    report.got(&once.statuses())?;
    report.proof(
        lost > 0 && wide(lost) == hung_up,
        &format!(
            "{} hung up {hung_up} times, and the client lost {lost} of {ONCE} answers",
            troubled.name
        ),
    )?;

    let before = shop.frontend.stats().await?;
    let seen = troubled.seen.get();
    report.sent(&format!("{RETRIED} x GET /retried, the same with retries on another replica"))?;
    let retried = shop.client.send(Call::to("/retried"), RETRIED, 2).await;
    troubled.mood.set(Mood::Well);
    let hung_up = troubled.seen.get() - seen;
    let lost = RETRIED - retried.with_status(200);
    let after = shop.frontend.stats().await?;
    let retries = after.growth(&before, "cluster.reviews-v1.upstream_rq_retry");
    let saved = after.growth(&before, "cluster.reviews-v1.upstream_rq_retry_success");
    report.got(&retried.statuses())?;
    report.proof(
        lost == 0 && hung_up > 0,
        &format!(
            "{} hung up {hung_up} times, and the client lost {lost} of {RETRIED} answers",
            troubled.name
        ),
    )?;
    report.proof(
        retries == hung_up && saved == retries,
        &format!("the proxy counted {retries} retries, {saved} of them successful"),
    )
}
