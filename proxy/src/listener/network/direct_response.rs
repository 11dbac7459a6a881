//! Answers every connection with the same bytes, and ends it.
//! (envoy: extensions.filters.network.direct_response.v3.Config)

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::listener::Connection;
use crate::net::Io;

/// A client that does not take the bytes within this time does not get them.
const PATIENCE: Duration = Duration::from_secs(15);

/// Writes the bytes.
pub async fn serve(mut io: Io, _: Rc<Connection>, response: Arc<[u8]>) {
    let _ = tokio::time::timeout(PATIENCE, async {
        io.write_all(&response).await?;
        io.shutdown().await
    })
    .await;
}
