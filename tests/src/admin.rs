//! A client of the admin port: readiness, counters, and any other endpoint as status and body.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire;

/// Long enough for a busy machine: a healthy proxy answers in a few milliseconds.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub struct Admin {
    pub port: u16,
}

impl Admin {
    /// Sends `GET path` and returns the status and the body of the answer.
    ///
    /// # Errors
    /// When nothing answers in time.
    pub async fn get(self, path: &str) -> Result<(u16, String)> {
        self.ask("GET", path).await
    }

    /// Sends `POST path` and returns the status and the body of the answer.
    ///
    /// # Errors
    /// When nothing answers in time.
    pub async fn post(self, path: &str) -> Result<(u16, String)> {
        self.ask("POST", path).await
    }

    async fn ask(self, method: &str, path: &str) -> Result<(u16, String)> {
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let request =
                format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            anyhow::Ok(bytes)
        };
        let bytes = timeout(LIMIT, exchange).await.context("the admin port does not answer")??;
        let (head, rest) = wire::head(&bytes).context("the admin port closed without an answer")?;
        let (body, _) = wire::body(head.response_framing(b"GET"), rest);
        Ok((head.status(), String::from_utf8_lossy(&body.bytes).into_owned()))
    }

    pub async fn is_ready(self) -> bool {
        matches!(self.get("/ready").await, Ok((200, _)))
    }

    /// The named counters and gauges; one that the proxy does not know is absent.
    ///
    /// # Errors
    /// When the admin port does not answer.
    pub async fn stats(self, names: &[String]) -> Result<BTreeMap<String, i64>> {
        let (_, text) = self.get("/stats").await?;
        let values = text.lines().filter_map(|line| line.split_once(": "));
        Ok(values
            .filter(|(name, _)| names.iter().any(|wanted| wanted == name))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect())
    }
}
