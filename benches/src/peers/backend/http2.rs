//! HTTP/2: the same answer to every request, with a message and trailers if it is a gRPC call.

use anyhow::Result;
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::TcpStream;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, body: Bytes) -> Result<()> {
    let mut builder = h2::server::Builder::new();
    // Room for all streams of the generator, in case a peer sends them over one connection.
    builder.max_concurrent_streams(1024).initial_connection_window_size(1 << 20);
    let mut connection = builder.handshake(stream).await?;
    let message = framed(&body);
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        if request.headers().get("content-type") == Some(&GRPC) {
            tokio::spawn(call(request, respond, message.clone()));
        } else {
            plain(respond, body.clone())?;
        }
    }
    Ok(())
}

/// A gRPC message: not compressed, its length, itself.
pub(in crate::peers) fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

fn plain(mut respond: SendResponse<Bytes>, body: Bytes) -> Result<()> {
    let response = Response::builder().header("content-type", "application/json").body(())?;
    respond.send_response(response, false)?.send_data(body, true)?;
    Ok(())
}

/// Answers once the whole call was read.
async fn call(
    mut request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    message: Bytes,
) -> Result<()> {
    while let Some(data) = request.body_mut().data().await {
        let length = data?.len();
        request.body_mut().flow_control().release_capacity(length)?;
    }
    let response = Response::builder().header("content-type", GRPC).body(())?;
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(message, false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)?;
    Ok(())
}
