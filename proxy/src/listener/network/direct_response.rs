//! Answers every connection with the same bytes, and ends it.
//! (envoy: extensions.filters.network.direct_response.v3.Config)

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::net::Io;

/// A client that does not take the bytes within this time does not get them.
const PATIENCE: Duration = Duration::from_secs(15);

/// Writes the bytes. Returns how many went out.
pub async fn serve(mut io: Io, response: Arc<[u8]>) -> u64 {
    let done = tokio::time::timeout(PATIENCE, async {
        io.write_all(&response).await?;
        io.shutdown().await
    });
    if matches!(done.await, Ok(Ok(()))) { response.len() as u64 } else { 0 }
}
