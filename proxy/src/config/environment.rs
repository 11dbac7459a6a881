//! What every translation needs, for as long as the process lives.

use std::sync::Arc;

use super::cx::Cx;
use super::runtime::Runtime;
use crate::telemetry::metrics::Registry;
use crate::tls::SecretCells;

/// See the module.
pub struct Environment {
    /// Where counters are made.
    pub registry: Arc<Registry>,
    /// Runtime values.
    pub runtime: Runtime,
    /// The places of secrets.
    pub secrets: SecretCells,
}

impl Environment {
    /// The surroundings of one translation.
    #[must_use]
    pub const fn cx(&self) -> Cx<'_> {
        Cx::new(&self.registry).with_runtime(&self.runtime).with_secrets(&self.secrets)
    }
}
