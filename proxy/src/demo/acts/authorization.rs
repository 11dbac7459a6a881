//! Authorization: who may do what is decided by identity, and the log names the policy. (envoy: extensions.filters.http.rbac.v3.RBAC)

use super::super::client::{Call, Client};
use super::super::error::DemoError;
use super::super::report::Report;
use super::super::shop::Shop;

const COUNT: usize = 10;

/// Who calls, what, and which policy says no; the last is refused because no policy says yes.
const REFUSALS: [(&str, &str, &str); 3] = [
    ("intruder", "/reviews", "no-intruders"),
    ("frontend", "/admin", "admin-is-closed"),
    ("reviews-itself", "/reviews", "none"),
];

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Authorization: the certificate decides, and the log says why")?;
    for (who, path, policy) in REFUSALS {
        let seen = shop.services.seen();
        report.sent(&format!("{COUNT} x GET {path} by {who}, whose certificate is genuine"))?;
        let replies = if who == "frontend" {
            shop.client.send(Call::to(path), COUNT, 2).await
        } else {
            Client::new(shop.outsiders.listener(who)?).send(Call::to(path), COUNT, 2).await
        };
        let seen = shop.services.seen() - seen;
        let refused = replies.count(|r| r.status == 403 && r.body == "RBAC: access denied");
        let detail = format!("rbac_access_denied_matched_policy[{policy}]");
        let lines = shop.v1.logged(&detail, COUNT).await;
        report.wrote(lines.last().map_or("nothing", String::as_str))?;
        report.proof(
            refused == COUNT && seen == 0 && lines.len() == COUNT,
            &format!(
                "{refused} of {COUNT} refused with 403, {} log lines name the policy `{policy}`; {seen} reached the service",
                lines.len()
            ),
        )?;
    }
    Ok(())
}
