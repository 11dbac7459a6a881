//! Clients that speak HTTP/2, a few streams at a time.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Tally;

/// As [`run`](super::run), with `streams` at once on each connection. What a GOAWAY has turned away is sent on the next connection.
pub async fn run(port: u16, clients: usize, streams: usize, limit: u64, tally: &Arc<Tally>) {
    let mut all = JoinSet::new();
    for _ in 0..clients {
        let tally = tally.clone();
        all.spawn(
            async move { while let Some(()) = connection(port, streams, limit, &tally).await {} },
        );
    }
    all.join_all().await;
}

/// Uses one connection to its end; none if there is no more to do.
async fn connection(port: u16, streams: usize, limit: u64, tally: &Arc<Tally>) -> Option<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let (sender, connection) = h2::client::handshake(stream).await.ok()?;
    let driver = tokio::spawn(connection);
    let mut all = JoinSet::new();
    for _ in 0..streams {
        all.spawn(lane(sender.clone(), limit, tally.clone()));
    }
    drop(sender);
    let ends = all.join_all().await;
    drop(driver.await);
    ends.into_iter().all(|may_go_on| may_go_on).then_some(())
}

/// One request after another; false if no more are wanted.
async fn lane(mut sender: SendRequest<Bytes>, limit: u64, tally: Arc<Tally>) -> bool {
    loop {
        // A connection that goes away takes no new streams: nothing was sent.
        sender = match sender.ready().await {
            Ok(sender) => sender,
            Err(_) => return !tally.is_over(),
        };
        if !tally.may_send(limit) {
            return false;
        }
        match exchange(&mut sender).await {
            Ok(status) => tally.answer(status),
            Err(error) if is_turned_away(&error) => {}
            Err(error) => tally.lose(&error),
        }
    }
}

async fn exchange(sender: &mut SendRequest<Bytes>) -> Result<u16> {
    let request = Request::get("http://load/").body(())?;
    let (response, _) = sender.send_request(request, true)?;
    let mut response = response.await?;
    while let Some(data) = response.body_mut().data().await {
        let length = data?.len();
        response.body_mut().flow_control().release_capacity(length)?;
    }
    Ok(response.status().as_u16())
}

/// The other side has said that it did not look at the request. (RFC 9113 §8.7)
fn is_turned_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<h2::Error>().is_some_and(|error| {
        error.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (error.is_go_away()
                && error.is_remote()
                && error.reason() == Some(h2::Reason::NO_ERROR))
    })
}
