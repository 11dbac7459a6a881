//! Answers every connection with the same bytes, and ends it.
//! (envoy: extensions.filters.network.direct_response.v3.Config)

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::net::Io;

/// A client that does not take the bytes within this time does not get them.
const PATIENCE: Duration = Duration::from_secs(15);

/// Writes the bytes. Returns how many the client took.
pub async fn serve(mut io: Io, response: Arc<[u8]>) -> u64 {
    let mut sent = 0;
    let _ = tokio::time::timeout(PATIENCE, async {
        io.write_all(&response).await?;
        sent = response.len() as u64;
        io.shutdown().await
    })
    .await;
    sent
}
