//! What every translation needs, for as long as the process lives.

use std::sync::Arc;

use super::cx::Cx;
use super::runtime::Runtime;
use crate::peer;
use crate::telemetry::istio::AllSeries;
use crate::telemetry::metrics::{IstioGrpcStat, IstioHttpStat, IstioTcpStat, Own, Registry};
use crate::tls::SecretCells;

/// See the module.
pub struct Environment {
    /// Where counters are made.
    pub registry: Arc<Registry>,
    /// Runtime values.
    pub runtime: Runtime,
    /// The places of secrets.
    pub secrets: SecretCells,
    /// The mesh.
    pub mesh: Mesh,
}

/// This workload in its mesh, and what is counted of it.
#[derive(Clone)]
pub struct Mesh {
    /// Who we are.
    pub own: Arc<peer::Own>,
    /// Metrics of requests.
    pub http: Arc<AllSeries<IstioHttpStat>>,
    /// Metrics of gRPC's messages.
    pub grpc: Arc<AllSeries<IstioGrpcStat>>,
    /// Metrics of connections.
    pub tcp: Arc<AllSeries<IstioTcpStat>>,
}

impl Mesh {
    /// A workload; `metrics` count how many series there are.
    #[must_use]
    pub fn new(own: peer::Own, registry: &Arc<Registry>, metrics: &Arc<Own>) -> Self {
        Self {
            own: Arc::new(own),
            http: Arc::new(AllSeries::new(registry.clone(), metrics.clone())),
            grpc: Arc::new(AllSeries::new(registry.clone(), metrics.clone())),
            tcp: Arc::new(AllSeries::new(registry.clone(), metrics.clone())),
        }
    }

    /// A workload of which nothing is known.
    #[must_use]
    pub fn nobody(registry: &Arc<Registry>) -> Self {
        Self::new(peer::Own::default(), registry, &Arc::new(Own::detached()))
    }
}

impl Environment {
    /// Surroundings outside of any mesh.
    #[must_use]
    pub fn new(registry: Arc<Registry>, runtime: Runtime) -> Self {
        let mesh = Mesh::nobody(&registry);
        Self { registry, runtime, secrets: SecretCells::default(), mesh }
    }

    /// The surroundings of one translation.
    #[must_use]
    pub const fn cx(&self) -> Cx<'_> {
        let cx = Cx::new(&self.registry).with_runtime(&self.runtime);
        cx.with_secrets(&self.secrets).with_mesh(&self.mesh)
    }
}
