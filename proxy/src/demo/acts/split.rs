//! A canary: a share of the traffic goes to the new version. (envoy: config.route.v3.WeightedCluster)

use super::super::client::Call;
use super::super::error::DemoError;
use super::super::report::Report;
use super::super::share::Share;
use super::super::shop::Shop;

const COUNT: usize = 2000;
const TO_V2_PERCENT: f64 = 20.0;

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Canary: 80 % to version 1, 20 % to version 2")?;
    report.sent(&format!("{COUNT} x GET /reviews over 8 connections"))?;
    let replies = shop.client.send(Call::to("/reviews"), COUNT, 8).await;
    let (v1, v2) = (replies.by_version("v1"), replies.by_version("v2"));
    let share = Share::new(v2, COUNT, TO_V2_PERCENT);
    report.got(&format!(
        "{}; half of them within {:.1} ms, 99 % within {:.1} ms, through two proxies each",
        replies.statuses(),
        replies.quantile_ms(50),
        replies.quantile_ms(99)
    ))?;
    report.proof(share.is_plausible(), &format!("version 2 answered {v2} times: {share}"))?;
    report.proof(v1 + v2 == COUNT, &format!("version 1 answered the other {v1}; nothing is lost"))
}
