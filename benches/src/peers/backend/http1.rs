//! HTTP/1.1: the same answer to every request.

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::peers::message::Message;

/// An answer with a body of this length.
pub(super) fn answer(body_bytes: usize) -> Bytes {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {body_bytes}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + body_bytes, b'x');
    answer.into()
}

/// Answers until the other side closes.
pub(super) async fn serve<S>(mut stream: S, answer: Bytes) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = BytesMut::with_capacity(4096);
    loop {
        while Message::take(&mut input)?.is_some() {
            stream.write_all(&answer).await?;
            stream.flush().await?;
        }
        input.reserve(2048);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}
