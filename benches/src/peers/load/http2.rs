//! HTTP/2: a lane is a stream at a time, several lanes share a connection.

use std::future::Future;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::time::timeout;

use super::PATIENCE;
use crate::peers::backend::framed;
use crate::peers::pace::Desk;
use crate::peers::row::Row;

/// What a lane says.
#[derive(Clone)]
pub(super) struct Call {
    request: Request<()>,
    /// The message of a gRPC call.
    message: Option<Bytes>,
}

impl Call {
    pub(super) fn new(row: &Row, grpc: bool) -> Result<Self> {
        let uri = format!("http://items.shop.svc.cluster.local{}", row.path);
        let request = Request::builder().uri(uri).header("user-agent", "bench");
        if !grpc {
            return Ok(Self { request: request.body(())?, message: None });
        }
        let request = request
            .method("POST")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        Ok(Self { request, message: Some(framed(&vec![b'x'; row.answer_bytes])) })
    }
}

/// A connection, and the task that moves it.
pub(super) async fn open() -> Result<(SendRequest<Bytes>, impl Future<Output = ()>)> {
    let stream = super::connect().await?;
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    let shaking = builder.handshake(stream);
    let (sender, connection) =
        timeout(PATIENCE, shaking).await.context("no settings in time")??;
    // How a connection ended is told to the streams on it.
    Ok((sender, async { drop(connection.await) }))
}

pub(super) async fn lane(mut sender: SendRequest<Bytes>, call: Call, desk: Arc<Desk>) {
    while let Some(due) = desk.take().await {
        match exchange(&mut sender, &call).await {
            Ok(()) => desk.answered(due),
            Err(error) => return desk.failed(&error),
        }
    }
}

async fn exchange(sender: &mut SendRequest<Bytes>, call: &Call) -> Result<()> {
    std::future::poll_fn(|context| sender.poll_ready(context)).await?;
    let ends = call.message.is_none();
    let (response, mut stream) = sender.send_request(call.request.clone(), ends)?;
    if let Some(message) = &call.message {
        stream.send_data(message.clone(), true)?;
    }
    let mut response = response.await?;
    ensure!(response.status() == 200, "status {}", response.status());
    let body = response.body_mut();
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    if call.message.is_some() {
        let trailers = body.trailers().await?.context("a call without trailers")?;
        let status = trailers.get("grpc-status").context("a call without grpc-status")?;
        ensure!(status == "0", "grpc-status {status:?}");
    }
    Ok(())
}
