//! Reads whatever comes, and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

const BLOCK: usize = 256 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Sink {
    bytes: Arc<AtomicU64>,
}

impl Sink {
    /// Reads to the end.
    pub(super) async fn drain(self, mut stream: TcpStream) {
        let mut block = vec![0; BLOCK];
        while let Ok(length @ 1..) = stream.read(&mut block).await {
            self.bytes.fetch_add(length as u64, Ordering::Relaxed);
        }
    }

    /// How many bytes came in this time.
    pub(super) async fn run(&self, length: Duration) -> u64 {
        let before = self.bytes.load(Ordering::Relaxed);
        sleep(length).await;
        self.bytes.load(Ordering::Relaxed) - before
    }
}
