//! A control plane that says what a tape says: the responses of a real istiod, byte for byte, over a Unix socket.
//!
//! A response is sent as soon as the proxy has asked for its type, in the order of the tape. Secrets, which no tape holds, are made up. What the proxy asks and
//! answers is kept.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::tape::{Tape, field, fields, last, text};

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the proxy has said.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The last word of the type.
    pub kind: String,
    /// Of the response that is answered, or empty.
    pub nonce: String,
    /// Why that is refused, or empty.
    pub error: String,
}

/// See the module. It ends when this is dropped.
#[derive(Debug)]
pub struct Replay {
    tape: Arc<Tape>,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: JoinHandle<()>,
}

impl Replay {
    /// Serves a tape at a path.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start(tape: Tape, secrets: Secrets, path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path)?;
        let tape = Arc::new(tape);
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let served = Served { tape: tape.clone(), secrets: secrets.into(), asked: asked.clone() };
        let server = tokio::spawn(accept(listener, served));
        Ok(Self { tape, asked, server })
    }

    /// What the proxy has said so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the last response of every type that was asked for has been answered.
    ///
    /// # Errors
    /// When that does not happen.
    pub async fn answered(&self) -> Result<()> {
        let nonces: HashSet<String> = self.tape.messages.iter().map(|m| text(m, 5)).collect();
        let mut newest = HashMap::new();
        for message in &self.tape.messages {
            newest.insert(Tape::kind(message), text(message, 5));
        }
        let limit = Instant::now() + PATIENCE;
        loop {
            let asked = self.asked();
            let is_asked = |kind: &str| asked.iter().any(|a| kind.ends_with(&a.kind));
            let answered: HashSet<String> = asked.iter().map(|a| a.nonce.clone()).collect();
            let open =
                newest.iter().filter(|(kind, nonce)| is_asked(kind) && !answered.contains(*nonce));
            let open: Vec<_> = open.collect();
            if open.is_empty() {
                return Ok(());
            }
            if Instant::now() > limit {
                let count = answered.intersection(&nonces).count();
                bail!("{count} of {} are answered; still open: {open:?}", nonces.len());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Heard = Arc<Mutex<Vec<Asked>>>;

/// What every secret is: a chain, its key and an authority, as PEM.
#[derive(Debug)]
pub struct Secrets {
    pub chain: String,
    pub key: String,
    pub authority: String,
}

impl Secrets {
    /// A response with this secret, as `envoy.extensions.transport_sockets.tls.v3.Secret`.
    fn response(&self, name: &str, is_delta: bool) -> Vec<u8> {
        let inline = |text: &str| field(3, text.as_bytes());
        let what = if name.ends_with("-cacert") {
            field(4, &field(1, &inline(&self.authority)))
        } else {
            let chain = field(1, &inline(&self.chain));
            field(2, &[chain, field(2, &inline(&self.key))].concat())
        };
        let secret = [field(1, name.as_bytes()), what].concat();
        let any = [field(1, SECRET.as_bytes()), field(2, &secret)].concat();
        let resource =
            if is_delta { [field(2, &any), field(3, name.as_bytes())].concat() } else { any };
        [field(2, &resource), field(4, SECRET.as_bytes()), field(5, name.as_bytes())].concat()
    }
}

/// What a connection serves.
#[derive(Clone, Debug)]
struct Served {
    tape: Arc<Tape>,
    secrets: Arc<Secrets>,
    asked: Heard,
}

async fn accept(listener: UnixListener, served: Served) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, served.clone()));
    }
}

async fn connection(stream: UnixStream, served: Served) -> Result<()> {
    let mut connection = server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        tokio::spawn(play(request, respond, served.clone()));
    }
    Ok(())
}

/// Plays the tape on one stream.
async fn play(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    Served { tape, secrets, asked }: Served,
) -> Result<()> {
    let head = Response::builder().header("content-type", "application/grpc").body(())?;
    let mut output = respond.send_response(head, false)?;
    let mut input = request.into_body();
    let mut left: Vec<&Vec<u8>> = tape.messages.iter().collect();
    let (mut kinds, mut told) = (HashSet::new(), HashSet::new());
    let mut buffer = BytesMut::new();
    while let Some(data) = input.data().await {
        let data = data?;
        input.flow_control().release_capacity(data.len())?;
        buffer.extend_from_slice(&data);
        while let Some(message) = frame(&mut buffer) {
            let kind = note(&message, tape.is_delta, &asked);
            if kind == SECRET {
                for (_, name) in fields(&message).filter(|(field, _)| *field == 3) {
                    let name = String::from_utf8_lossy(name).into_owned();
                    if told.insert(name.clone()) {
                        send(&mut output, &secrets.response(&name, tape.is_delta))?;
                    }
                }
            }
            kinds.insert(kind);
        }
        let mut rest = Vec::new();
        for message in left {
            if kinds.contains(&Tape::kind(message)) {
                send(&mut output, message)?;
            } else {
                rest.push(message);
            }
        }
        left = rest;
    }
    Ok(())
}

fn send(output: &mut SendStream<Bytes>, message: &[u8]) -> Result<()> {
    let length = u32::try_from(message.len()).context("a message of more than 4 GiB")?;
    let mut framed = Vec::with_capacity(5 + message.len());
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    Ok(output.send_data(framed.into(), false)?)
}

/// The next message of a stream. (gRPC: "Length-Prefixed-Message")
fn frame(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(buffer.get(1..5)?.try_into().ok()?) as usize;
    if buffer.len() < 5 + length {
        return None;
    }
    buffer.advance(5);
    Some(buffer.split_to(length).freeze())
}

/// Keeps what a request says; returns its type.
fn note(request: &[u8], is_delta: bool, asked: &Heard) -> String {
    let (kind, nonce, error) = if is_delta { (2, 6, 7) } else { (4, 5, 6) };
    let url = text(request, kind);
    let said = Asked {
        kind: url.rsplit('.').next().unwrap_or_default().to_owned(),
        nonce: text(request, nonce),
        error: match fields(request).any(|(field, _)| field == error) {
            true => text(last(request, error), 2),
            false => String::new(),
        },
    };
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(said);
    url
}
