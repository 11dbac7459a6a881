//! What translators need besides their message, and what they have to tell.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use outrigger_xds::ResourceType;

use super::environment::Mesh;
use super::error::At;
use super::runtime::{self, Runtime};
use super::source::ConfigSource;
use crate::peer::Own;
use crate::telemetry::metrics::Registry;
use crate::tls::{SecretCell, SecretCells};

/// The surroundings of a translation.
pub struct Cx<'a> {
    /// Where counters are made.
    pub registry: &'a Arc<Registry>,
    /// Values that the bootstrap's runtime layers set.
    pub runtime: &'a Runtime,
    mesh: Option<&'a Mesh>,
    clusters: Option<&'a dyn Fn(&str) -> bool>,
    secrets: Option<&'a SecretCells>,
    scope: RefCell<String>,
    ignored: RefCell<Vec<Ignored>>,
    needs: RefCell<Vec<Need>>,
}

/// A field that was set and has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its path.
    pub path: String,
    /// Why it has none.
    pub reason: &'static str,
}

/// Another resource that the translated one cannot do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: Arc<str>,
    /// Where it comes from.
    pub from: ConfigSource,
    /// The scope of the subscription's counters, with its last dot.
    pub stats_prefix: String,
}

impl<'a> Cx<'a> {
    /// Surroundings with these counters, and without runtime values.
    #[must_use]
    pub const fn new(registry: &'a Arc<Registry>) -> Self {
        Self {
            registry,
            runtime: &runtime::EMPTY,
            mesh: None,
            clusters: None,
            secrets: None,
            scope: RefCell::new(String::new()),
            ignored: RefCell::new(Vec::new()),
            needs: RefCell::new(Vec::new()),
        }
    }

    /// The same with these runtime values.
    #[must_use]
    pub const fn with_runtime(mut self, runtime: &'a Runtime) -> Self {
        self.runtime = runtime;
        self
    }

    /// The same in a mesh.
    #[must_use]
    pub const fn with_mesh(mut self, mesh: &'a Mesh) -> Self {
        self.mesh = Some(mesh);
        self
    }

    /// This workload, and its metrics; nobody's, if nobody has said.
    #[must_use]
    pub fn mesh(&self) -> Cow<'_, Mesh> {
        self.mesh.map_or_else(|| Cow::Owned(Mesh::nobody(self.registry)), Cow::Borrowed)
    }

    /// This workload.
    #[must_use]
    pub fn own(&self) -> Arc<Own> {
        self.mesh.map_or_else(Arc::default, |mesh| mesh.own.clone())
    }

    /// The same with the clusters that there are: the function says whether it knows a name.
    #[must_use]
    pub const fn with_clusters(mut self, knows: &'a dyn Fn(&str) -> bool) -> Self {
        self.clusters = Some(knows);
        self
    }

    /// The same with the places of secrets.
    #[must_use]
    pub const fn with_secrets(mut self, secrets: &'a SecretCells) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// The place of the secret of this name; nobody fills it if there are no places.
    #[must_use]
    pub fn secret(&self, name: &str) -> Arc<SecretCell> {
        match self.secrets {
            Some(secrets) => secrets.cell(name),
            None => Arc::new(SecretCell::new(name.into())),
        }
    }

    /// What is translated now counts in this scope, which ends in a dot.
    pub fn set_scope(&self, scope: &str) {
        scope.clone_into(&mut self.scope.borrow_mut());
    }

    /// The scope of counters, followed by `part`.
    #[must_use]
    pub fn scope(&self, part: &str) -> String {
        format!("{}{part}", self.scope.borrow())
    }

    /// True if there is a cluster of this name, or nobody has said which there are.
    #[must_use]
    pub fn knows_cluster(&self, name: &str) -> bool {
        self.clusters.is_none_or(|knows| knows(name))
    }

    /// Notes a field that is set and has no effect.
    pub fn note_ignored(&self, at: &At<'_>, reason: &'static str) {
        self.ignored.borrow_mut().push(Ignored { path: at.to_string(), reason });
    }

    /// What was noted since this was last asked.
    pub fn take_ignored(&self) -> Vec<Ignored> {
        self.ignored.take()
    }

    /// Notes that another resource is needed.
    pub fn need(&self, need: Need) {
        let mut needs = self.needs.borrow_mut();
        if !needs.contains(&need) {
            needs.push(need);
        }
    }

    /// The resources that are needed since this was last asked.
    pub fn take_needs(&self) -> Vec<Need> {
        self.needs.take()
    }
}
