//! Mutual TLS: the service learns who calls from a certificate, and from nothing else.

use super::super::certificates::identity;
use super::super::client::Call;
use super::super::error::DemoError;
use super::super::report::Report;
use super::super::shop::Shop;

const COUNT: usize = 20;
const FORGED: &str = "spiffe://demo.local/ns/shop/sa/owner";
const CALL: Call = Call {
    path: "/reviews",
    headers: &[("x-forwarded-client-cert", "URI=spiffe://demo.local/ns/shop/sa/owner")],
};

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Mutual TLS: the service knows who calls")?;
    report.sent(&format!(
        "{COUNT} x GET /reviews, plain HTTP to the frontend's own proxy, with a forged identity: {FORGED}"
    ))?;
    let replies = shop.client.send(CALL, COUNT, 2).await;
    let caller = format!("URI={}", identity("frontend"));
    let known = replies.count(|reply| reply.body.contains(&caller));
    let forged = replies.count(|reply| reply.body.contains(FORGED));
    let mut sessions = 0;
    for proxy in [&shop.v1, &shop.v2] {
        sessions += proxy.stats().await?.ending(".ssl.versions.TLSv1.3");
    }
    report.got(&replies.statuses())?;
    report.proof(
        known == COUNT,
        &format!("the service saw {} {known} of {COUNT} times", identity("frontend")),
    )?;
    report.proof(forged == 0, &format!("the forged identity arrived {forged} times"))?;
    report.proof(
        sessions > 0,
        &format!(
            "between the proxies: {sessions} connections, each with TLS 1.3 and two certificates"
        ),
    )
}
