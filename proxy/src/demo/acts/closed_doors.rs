//! Closed doors: without a certificate of the mesh nobody gets as far as a request. (envoy: DownstreamTlsContext.require_client_certificate)

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::client::{Call, Client};
use super::super::error::{DemoError, system};
use super::super::report::Report;
use super::super::shop::Shop;

const COUNT: usize = 10;
const PATIENCE: Duration = Duration::from_secs(5);

pub(in super::super) async fn play(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    report.act("Closed doors: no certificate, no conversation")?;
    plaintext(shop, report).await?;
    refused(shop, report, "nobody", "without a certificate", ".ssl.fail_verify_no_cert").await?;
    refused(
        shop,
        report,
        "stranger",
        "with frontend's name, signed by an unknown authority",
        ".ssl.fail_verify_error",
    )
    .await
}

/// HTTP without TLS, on raw sockets, because the bytes that come back are what counts.
async fn plaintext(shop: &Shop, report: &mut Report) -> Result<(), DemoError> {
    let door = shop.v1.listener(shop.services.troubled().name)?;
    let seen = shop.services.seen();
    report.sent(&format!("{COUNT} x GET /reviews in plain text to the port that expects TLS"))?;
    let (mut closed, mut answered) = (0, 0);
    for _ in 0..COUNT {
        let came = knock(door).await.map_err(system("a connection in plain text"))?;
        closed += usize::from(came.is_some());
        answered += usize::from(came.is_some_and(|bytes| bytes.starts_with(b"HTTP/")));
    }
    let seen = shop.services.seen() - seen;
    report.got(&format!("{closed} closed connections, {answered} answers"))?;
    report.proof(
        closed == COUNT && answered == 0 && seen == 0,
        &format!(
            "{closed} of {COUNT} connections were closed; {seen} requests reached the service"
        ),
    )
}

/// What comes back until the end of the connection; nothing if that does not come.
async fn knock(door: SocketAddr) -> std::io::Result<Option<Vec<u8>>> {
    let mut stream = TcpStream::connect(door).await?;
    let mut came = Vec::new();
    stream.write_all(b"GET /reviews HTTP/1.1\r\nhost: reviews\r\n\r\n").await?;
    match timeout(PATIENCE, stream.read_to_end(&mut came)).await {
        // A reset is the end of the connection too.
        Ok(Err(error)) if error.kind() != ErrorKind::ConnectionReset => Err(error),
        Ok(_) => Ok(Some(came)),
        Err(_) => Ok(None),
    }
}

/// Requests of somebody whose handshake must fail, and what the door counts.
async fn refused(
    shop: &Shop,
    report: &mut Report,
    who: &'static str,
    how: &str,
    counter: &str,
) -> Result<(), DemoError> {
    let (seen, before) = (shop.services.seen(), shop.v1.stats().await?.ending(counter));
    report.sent(&format!("{COUNT} x GET /reviews over TLS {how}"))?;
    let outsider = Client::new(shop.outsiders.listener(who)?);
    let replies = outsider.send(Call::to("/reviews"), COUNT, 2).await;
    let seen = shop.services.seen() - seen;
    let counted = shop.v1.stats().await?.ending(counter) - before;
    report.got(&format!("{} from the caller's own proxy", replies.statuses()))?;
    report.proof(
        replies.with_status(503) == COUNT && seen == 0 && counted > 0,
        &format!("no handshake of {counted} came to an end; {seen} of {COUNT} requests reached the service"),
    )
}
