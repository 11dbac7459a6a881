//! The generator: connections to the proxy, and the lanes that work on them.
//!
//! [`Load::connect`] opens everything that a row wants open before its measurement; then [`Load::run`] may be called as often as wanted.

mod bytes;
mod h2load;
mod http1;
mod http2;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::bytes::Sink;
use self::h2load::H2load;
pub use self::h2load::Logged;
use super::identity::Identity;
use super::pace::{Desk, Tally};
use super::row::{CONNECTIONS, CONNECTIONS_2, CONNECTIONS_TCP, Row, STREAMS_2, Work};

/// Where the rows' files listen.
pub const PORT: u16 = 18080;
/// For one connection to be open, or one exchange to be over.
const PATIENCE: Duration = Duration::from_secs(5);

/// Open connections and who works on them; all of it ends when this is dropped.
#[derive(Debug)]
pub struct Load {
    row: Row,
    desk: Arc<Desk>,
    sink: Sink,
    lanes: JoinSet<()>,
    tool: Option<H2load>,
}

/// What a run has done.
#[derive(Debug)]
pub enum Done {
    Requests(Tally),
    Bytes(u64),
}

/// A run that is over, whose result takes time to read.
#[derive(Debug)]
pub enum Over {
    Known(Done),
    Logged(Logged),
}

impl Over {
    /// What it has done.
    ///
    /// # Errors
    /// When the log of a tool cannot be read.
    pub fn read(self) -> Result<Done> {
        match self {
            Self::Known(done) => Ok(done),
            Self::Logged(logged) => logged.tally().map(Done::Requests),
        }
    }
}

impl Load {
    /// Opens the connections of this row. A tool writes into `folder`, and begins at once.
    ///
    /// # Errors
    /// When one is refused, or there is no such tool.
    pub async fn connect(row: &Row, identity: &Identity, folder: &Path) -> Result<Self> {
        let mut load = Self {
            row: *row,
            desk: Arc::default(),
            sink: Sink::default(),
            lanes: JoinSet::new(),
            tool: None,
        };
        match row.work {
            Work::Http1 { tls, connects } => {
                let way = http1::Way::new(row, tls.then_some(identity))?;
                for _ in 0..CONNECTIONS {
                    let open = if connects { None } else { Some(way.open().await?) };
                    load.lanes.spawn(http1::lane(way.clone(), open, load.desk.clone()));
                }
            }
            Work::Http2 { grpc } => {
                let call = http2::Call::new(row, grpc)?;
                for _ in 0..CONNECTIONS_2 {
                    let (sender, driver) = http2::open().await?;
                    load.lanes.spawn(driver);
                    for _ in 0..STREAMS_2 {
                        let desk = load.desk.clone();
                        load.lanes.spawn(http2::lane(sender.clone(), call.clone(), desk));
                    }
                }
            }
            Work::H2load => load.tool = Some(H2load::start(row, folder)?),
            Work::Bytes => {
                for _ in 0..CONNECTIONS_TCP {
                    let stream = connect().await?;
                    load.lanes.spawn(load.sink.clone().drain(stream));
                }
            }
        }
        Ok(load)
    }

    /// Works for `length` at the row's rate. Nothing is computed after that: the caller reads the proxy's clock first.
    pub async fn run(&self, length: Duration) -> Over {
        match (&self.tool, self.row.work) {
            (Some(tool), _) => Over::Logged(tool.run(length).await),
            (None, Work::Bytes) => Over::Known(Done::Bytes(self.sink.run(length).await)),
            (None, _) => Over::Known(Done::Requests(self.desk.run(self.row.rate, length).await)),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.desk.close();
        self.lanes.abort_all();
    }
}

async fn connect() -> Result<TcpStream> {
    let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT));
    let stream = timeout(PATIENCE, connecting).await.context("no connection in time")??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
