//! HTTP/2 frames of the case's own making: heads that no well-behaved library would send.
//!
//! Nothing is checked and no window is kept: what the case says goes out, what comes back is listed.

use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::wire2::{DATA, END_HEADERS, HEADERS, SETTINGS, block, frame, list};
use super::{Client, Ends, Heard, SETTLE};
use crate::stream::{Fate, Stream};
use crate::text;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Frame {
    Headers {
        stream: u32,
        /// `name: value`; a name may begin with a colon.
        fields: Vec<String>,
        /// So many lines `x-more: 1` behind them.
        #[serde(default)]
        more: usize,
        #[serde(default)]
        end: bool,
    },
    Data {
        stream: u32,
        #[serde(default)]
        text: String,
        #[serde(default)]
        end: bool,
    },
    Any {
        kind: u8,
        #[serde(default)]
        flags: u8,
        #[serde(default)]
        stream: u32,
        #[serde(default)]
        payload: String,
        /// Sends so many of them.
        #[serde(default)]
        times: usize,
    },
    PauseMs(u64),
    AwaitUpstream(usize),
}

pub(super) async fn run(
    client: &Client,
    ends: &Ends,
    mut stream: Box<dyn Stream>,
    heard: &mut Heard,
) -> Result<()> {
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    out.extend(frame(SETTINGS, 0, 0, &[]));
    for wanted in &client.frames {
        match wanted {
            Frame::Headers { stream, fields, more, end } => {
                let fields = [fields.clone(), vec!["x-more: 1".to_owned(); *more]].concat();
                out.extend(frame(HEADERS, END_HEADERS | u8::from(*end), *stream, &block(&fields)));
            }
            Frame::Data { stream, text, end } => {
                out.extend(frame(DATA, u8::from(*end), *stream, &text::bytes(&text::repeat(text))));
            }
            Frame::Any { kind, flags, stream, payload, times } => {
                let one = frame(*kind, *flags, *stream, &text::bytes(&text::repeat(payload)));
                out.extend(one.repeat((*times).max(1)));
            }
            Frame::PauseMs(ms) => {
                flush(&mut stream, &mut out, client.limit()).await;
                sleep(Duration::from_millis(*ms)).await;
            }
            Frame::AwaitUpstream(count) => {
                flush(&mut stream, &mut out, client.limit()).await;
                drop(timeout(client.limit(), ends.recorder.wait_for(*count)).await);
            }
        }
    }
    flush(&mut stream, &mut out, client.limit()).await;
    let (bytes, fate) = receive(&mut stream, client).await;
    heard.frames = list(&bytes);
    heard.fate = Some(fate);
    Ok(())
}

async fn flush(stream: &mut Box<dyn Stream>, out: &mut Vec<u8>, limit: Duration) {
    let write = async {
        stream.write_all(out).await?;
        stream.flush().await
    };
    // A proxy may end the connection before it has read everything: reading shows how.
    drop(timeout(limit, write).await);
    out.clear();
}

/// Reads until so many streams have ended as responses are expected, and then a little longer.
async fn receive(stream: &mut Box<dyn Stream>, client: &Client) -> (Vec<u8>, Fate) {
    let mut bytes = Vec::new();
    let mut until = Instant::now() + client.limit();
    let mut enough = false;
    loop {
        match timeout_at(until, stream.read_buf(&mut bytes)).await {
            Err(_) => return (bytes, Fate::Kept),
            Ok(Ok(0)) => return (bytes, Fate::Closed),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return (bytes, Fate::of(&error)),
        }
        let ended = list(&bytes)
            .iter()
            .filter(|line| line.ends_with("end") || line.starts_with("RST"))
            .count();
        if !enough && ended >= client.responses {
            enough = true;
            until = Instant::now() + SETTLE;
        }
    }
}
