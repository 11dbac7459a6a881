//! The application in a pod: answers who it is and what it saw, and makes calls when the harness asks.
//!
//! Ports 8080 and 8082 speak HTTP/1.1 and HTTP/2 with prior knowledge, 8443 the same over TLS, 9999 greets with its name and echoes, 7000
//! does either, whichever the client begins with. The unix socket takes [`Call`]s.

mod connection;
mod exchange;
mod load;
mod serve;
mod serve2;
mod tls;

use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::call::{Call, Told};
use serve::Greeting;

/// The name of an application that only makes calls.
pub const CALLER: &str = "caller";

/// Serves until the process ends. `certificate` is the path of `NAME.crt` and `NAME.key` without their ends.
///
/// # Errors
/// When a port or the socket cannot be had.
pub async fn run(name: &str, control: &Path, certificate: Option<&Path>) -> Result<()> {
    if name != CALLER {
        serve(name.into(), certificate).await?;
    }
    drop(fs::remove_file(control));
    let calls = UnixListener::bind(control).with_context(|| control.display().to_string())?;
    fs::set_permissions(control, fs::Permissions::from_mode(0o666))?;
    loop {
        let (stream, _) = calls.accept().await?;
        tokio::spawn(call(stream));
    }
}

async fn serve(name: Arc<str>, certificate: Option<&Path>) -> Result<()> {
    for port in [8080, 8082] {
        let mine = name.clone();
        listen(port, move |stream| serve::http(stream, mine.clone())).await?;
    }
    let mine = name.clone();
    listen(9999, move |stream| serve::tcp(stream, mine.clone(), Greeting::Name)).await?;
    let mine = name.clone();
    listen(7000, move |stream| serve::any(stream, mine.clone())).await?;
    if let Some(certificate) = certificate {
        let acceptor = TlsAcceptor::from(tls::server(certificate)?);
        let mine = name.clone();
        listen(8443, move |stream| {
            let (acceptor, name) = (acceptor.clone(), mine.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve::http(stream, name).await;
                }
            }
        })
        .await?;
    }
    Ok(())
}

/// Both families, as a pod of a dual-stack machine: the v6 wildcard takes v4 too.
async fn listen<F, S>(port: u16, serve: F) -> Result<()>
where
    F: Fn(TcpStream) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("::", port)).await.with_context(|| format!("port {port}"))?;
    tokio::spawn(async move {
        loop {
            // What fails here is one connection that has gone again.
            let Ok((stream, _)) = listener.accept().await else { continue };
            drop(stream.set_nodelay(true));
            tokio::spawn(serve(stream));
        }
    });
    Ok(())
}

async fn call(stream: UnixStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let told = match serde_json::from_str::<Call>(&line) {
        Ok(call) => answer(call).await.unwrap_or_else(|error| Told::Wrong(format!("{error:#}"))),
        Err(error) => Told::Wrong(error.to_string()),
    };
    let mut line = serde_json::to_string(&told)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    Ok(())
}

async fn answer(call: Call) -> Result<Told> {
    Ok(match call.load {
        Some(_) => Told::Load(load::run(call).await?),
        None => Told::Answers(exchange::run(call).await?),
    })
}
