//! A route by header: one user always gets the new version. (envoy: config.route.v3.RouteMatch.headers)

use super::super::client::Call;
use super::super::error::DemoError;
use super::super::report::Report;
use super::super::shop::Shop;

const COUNT: usize = 100;

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Routing by header: jason tests version 2")?;
    report.sent(&format!(
        "{COUNT} x GET /reviews with `end-user: jason`, then with `end-user: jasper`"
    ))?;
    let jason = Call { path: "/reviews", headers: &[("end-user", "jason")] };
    let jasper = Call { path: "/reviews", headers: &[("end-user", "jasper")] };
    let jason = shop.client.send(jason, COUNT, 4).await;
    let jasper = shop.client.send(jasper, COUNT, 4).await;
    report.got(&format!("{} for jason, {} for jasper", jason.statuses(), jasper.statuses()))?;
    let to_v2 = jason.by_version("v2");
    report.proof(to_v2 == COUNT, &format!("jason got version 2 {to_v2} of {COUNT} times"))?;
    let to_v1 = jasper.by_version("v1");
    report.proof(to_v1 > 0, &format!("jasper is split like everybody: version 1 {to_v1} times"))
}
