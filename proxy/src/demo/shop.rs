//! The mesh of the demonstration: the namespace `shop` with everything that runs in it.
//!
//! ```text
//! client ── frontend's proxy ══ mutual TLS ══ proxy of reviews v1 ── four replicas
//!                            ══ mutual TLS ══ proxy of reviews v2 ── one replica
//!           proxy for those who should not get in ══ ?
//! ```

use std::path::Path;

use tempfile::TempDir;

use super::bootstrap::{self, Backends};
use super::certificates;
use super::client::Client;
use super::error::{DemoError, system};
use super::proxies::{self, Proxy};
use super::services::Services;

/// Everything that runs. The proxies come before the directory: they end before their files go.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) frontend: Proxy,
    pub(super) v1: Proxy,
    pub(super) v2: Proxy,
    pub(super) outsiders: Proxy,
    pub(super) services: Services,
    /// The frontend's application: calls through its proxy.
    pub(super) client: Client,
    dir: TempDir,
}

impl Shop {
    /// Makes the certificates, starts the services and then the proxies.
    pub(super) async fn open() -> Result<Self, DemoError> {
        // Only for this user, because private keys lie there.
        let dir = tempfile::Builder::new()
            .prefix("outrigger-demo-")
            .tempdir()
            .map_err(system("a temporary directory"))?;
        let path = dir.path();
        certificates::create(path)?;
        let services = Services::start().await.map_err(system("the services"))?;
        let program = proxies::program()?;
        let reviews_v1 = bootstrap::reviews("reviews-v1", &services.v1, path);
        let reviews_v2 = bootstrap::reviews("reviews-v2", &services.v2, path);
        let (v1, v2) = tokio::try_join!(
            Proxy::start(&program, path, "reviews-v1", &reviews_v1),
            Proxy::start(&program, path, "reviews-v2", &reviews_v2),
        )?;
        let backends = Backends {
            v1: services
                .v1
                .iter()
                .map(|replica| v1.listener(replica.name))
                .collect::<Result<_, _>>()?,
            v2: services
                .v2
                .iter()
                .map(|replica| v2.listener(replica.name))
                .collect::<Result<_, _>>()?,
        };
        let outbound = bootstrap::frontend(&backends, path);
        let outside = bootstrap::outsiders(&backends, path);
        let (frontend, outsiders) = tokio::try_join!(
            Proxy::start(&program, path, "frontend", &outbound),
            Proxy::start(&program, path, "outsiders", &outside),
        )?;
        let client = Client::new(frontend.listener("outbound")?);
        Ok(Self { frontend, v1, v2, outsiders, services, client, dir })
    }

    /// Where certificates, bootstraps and logs are.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) const fn proxies(&self) -> [&Proxy; 4] {
        [&self.frontend, &self.v1, &self.v2, &self.outsiders]
    }
}
