//! The sidecar of `exchange/sidecar.yaml`, compiled as the proxy does, and a request that it serves.

use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use outrigger::app;
use outrigger::body::Body;
use outrigger::cli::Options;
use outrigger::exchange::Exchange;
use outrigger::http::HttpConnectionManager;
use outrigger::http::progress::Progress;
use outrigger::listener::{Connection, Listener, Terminal};
use outrigger::net::Address;
use outrigger::telemetry::StreamInfo;
use outrigger::telemetry::metrics::Own;
use outrigger::upstream::Cluster;
use outrigger_policy::head::{Protocol as Version, RequestHead};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::exchange::{Bootstrap, Chain, Ports, Protocol};

/// The sidecar, ready to serve.
pub(super) struct Sidecar {
    pub(super) manager: Arc<HttpConnectionManager>,
    pub(super) cluster: Arc<Cluster>,
    /// Where its log is.
    pub(super) folder: TempDir,
}

impl Sidecar {
    /// # Errors
    /// If its file is refused.
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let bootstrap = Bootstrap { chain: Chain::Sidecar, protocol: Protocol::Http1 };
        let bootstrap = bootstrap.text(folder.path(), Ports { proxy: 1, backend: 2 });
        Self::of(bootstrap, folder)
    }

    /// The first listener and the cluster `up` of another bootstrap.
    ///
    /// # Errors
    /// If it is refused.
    pub(super) fn of(bootstrap: String, folder: TempDir) -> Result<Self> {
        let options = Options { config_yaml: Some(bootstrap), ..Options::default() };
        let mut store = app::load(&options, 1, &Arc::new(Own::detached()))?.store;
        store.settle(true);
        let snapshot = store.snapshot.load();
        let listener = snapshot.listener("in").context("no listener")?;
        let manager = manager(&listener).context("no connection manager")?;
        Ok(Self { manager, cluster: snapshot.cluster("up").context("no cluster")?, folder })
    }
}

fn manager(listener: &Listener) -> Option<Arc<HttpConnectionManager>> {
    match &listener.chains.first()?.terminal {
        Terminal::Http(manager) => Some(manager.clone()),
        Terminal::Tcp(_) | Terminal::Direct(_) => None,
    }
}

/// A request that begins, with the header lines of a small client.
pub(super) fn exchange(manager: &Arc<HttpConnectionManager>) -> Box<Exchange> {
    let ip = |port| Address::Ip(([127, 0, 0, 1], port).into());
    let connection = Rc::new(Connection {
        id: 7,
        start: Instant::now(),
        direct_remote: ip(40_000),
        remote: ip(40_000),
        local: ip(80),
        direct_local: ip(15_006),
        is_restored: true,
        handshake_end: None,
        listener: "in".into(),
        filter_chain: "".into(),
        server_name: None,
        tls: None,
        requests: std::cell::Cell::new(1),
    });
    let mut head = RequestHead::new(b"GET", b"items.shop.svc.cluster.local", b"/api/v1/items/7");
    for (name, value) in [
        ("user-agent", "bench/1"),
        ("accept", "*/*"),
        ("x-request-id", "6d2c2b0e-9f5a-4a43-9d33-2f2c4f0d3a11"),
    ] {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    let info = StreamInfo::new(connection, Some(Version::Http11));
    let progress = Rc::<Progress>::default();
    Box::new(Exchange::new(manager.clone(), head, Body::Empty, progress, info))
}
