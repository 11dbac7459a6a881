//! The order of the acts, what is said before the first, and where to look after the last.

use super::acts;
use super::error::DemoError;
use super::interrupt;
use super::report::Report;
use super::shop::Shop;

/// Opens the shop, plays every act, prints the table.
pub(super) async fn tell(stays: bool) -> Result<(), DemoError> {
    let mut report = Report::to_stdout();
    let shop = Shop::open().await?;
    introduce(&mut report)?;
    play(&shop, &mut report).await?;
    let verdict = report.close();
    where_to_look(&shop, &mut report, stays)?;
    if stays {
        interrupt().await?;
    }
    verdict
}

fn introduce(report: &mut Report) -> Result<(), DemoError> {
    report.line("Outrigger demo: a shop of two services on this machine, one proxy beside each")?;
    report.line("")?;
    report
        .line("  client -> frontend's proxy == mutual TLS => proxy of reviews v1 -> 4 replicas")?;
    report.line("                             == mutual TLS => proxy of reviews v2 -> 1 replica")
}

async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    acts::mutual_tls::play(shop, report).await?;
    acts::split::play(shop, report).await?;
    acts::header_route::play(shop, report).await?;
    acts::retry::play(shop, report).await?;
    acts::breaker::play(shop, report).await?;
    acts::fault::play(shop, report).await?;
    acts::timeout::play(shop, report).await?;
    acts::authorization::play(shop, report).await?;
    acts::closed_doors::play(shop, report).await?;
    acts::ejection::play(shop, report).await?;
    acts::metrics::play(shop, report).await
}

fn where_to_look(shop: &Shop, report: &mut Report, stays: bool) -> Result<(), DemoError> {
    report.line("")?;
    if !stays {
        return report.line("`outrigger demo --stay` keeps all of it running, to look at.");
    }
    report.line("Where to look:")?;
    report.line(&format!("  send     curl http://{}/reviews", shop.client.address))?;
    for proxy in shop.proxies() {
        let (name, admin) = (proxy.name, proxy.admin);
        report
            .line(&format!("  admin    http://{admin}/ of {name}; metrics at /stats/prometheus"))?;
    }
    report.line(&format!("  files    {}: bootstraps, certificates, logs", shop.dir().display()))?;
    report.line("Ctrl-C ends everything and removes the files.")
}
