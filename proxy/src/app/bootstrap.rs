//! Reads the bootstrap and validates all of it: a mistake shows before anything is bound, with its file, line and field.

use std::io;
use std::sync::Arc;

use outrigger_xds::{Resource, ResourceType};
use outrigger_xds_api::envoy::config::bootstrap::v3::Bootstrap as Message;
use outrigger_xds_api::{Document, Pool, ReadError, Unknown};
use prost::Message as _;

use crate::cli::Options;
use crate::config::bootstrap::Bootstrap;
use crate::config::{self, At, ConfigError, Cx, Environment, Ignored, Mesh, Store};
use crate::telemetry::metrics::{Own, Registry, StatsSpec, StatsSpecError};
use crate::tls::SecretCells;

/// A bootstrap that is valid.
pub struct Loaded {
    /// The translated bootstrap.
    pub bootstrap: Bootstrap,
    /// Its clusters and listeners, taken in but not in force.
    pub store: Store,
    /// The message, encoded.
    pub original: Vec<u8>,
    /// Fields that are set and have no effect.
    pub ignored: Vec<Ignored>,
    /// Fields that nobody knows, where that is allowed.
    pub unknown: Vec<String>,
}

/// Why a bootstrap is refused.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// Neither `-c` nor `--config-yaml` was given.
    #[error("At least one of --config-path or --config-yaml should be non-empty")]
    Missing,
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// It is no bootstrap.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something in it is wrong or not supported.
    #[error("{file}:{line}: {error}")]
    Config {
        /// The file.
        file: String,
        /// Line in it.
        line: u32,
        /// Field, and reason.
        error: ConfigError,
    },
}

/// Reads and validates the bootstrap that the command line names, for a process with `workers` workers.
///
/// # Errors
/// Why it is refused.
pub fn load(
    options: &Options,
    workers: usize,
    metrics: &Arc<Own>,
) -> Result<Loaded, BootstrapError> {
    let document = document(options)?;
    let mut unknown = Vec::new();
    let message = {
        // The descriptors are large: they go as soon as the message stands.
        let pool = Pool::load();
        if options.allow_unknown_static_fields || options.allow_unknown_fields {
            document.read(&pool, Unknown::Collect(&mut unknown))?
        } else {
            document.read(&pool, Unknown::Refuse)?
        }
    };
    let loaded = translate(message, options, workers, metrics).map_err(|error| {
        let place = document.locate(&error.path);
        BootstrapError::Config { file: place.file.into(), line: place.line, error }
    })?;
    Ok(Loaded { unknown, ..loaded })
}

fn document(options: &Options) -> Result<Document, BootstrapError> {
    let file = match &options.config_path {
        None => None,
        Some(path) => {
            let io = |error| BootstrapError::Io { path: path.clone(), error };
            Some(Document::parse(path, std::fs::read(path).map_err(io)?)?)
        }
    };
    let overlay = match &options.config_yaml {
        None => None,
        Some(text) => Some(Document::yaml("--config-yaml", text)?),
    };
    match (file, overlay) {
        (Some(file), Some(overlay)) => Ok(file.merged_with(overlay)),
        (file, overlay) => file.or(overlay).ok_or(BootstrapError::Missing),
    }
}

/// Validates what a bootstrap says, under the flags that change it, for a process with `workers` workers.
///
/// # Errors
/// The first field that is wrong or not supported.
pub fn translate(
    mut message: Message,
    options: &Options,
    workers: usize,
    metrics: &Arc<Own>,
) -> Result<Loaded, ConfigError> {
    let node = message.node.get_or_insert_default();
    if !options.service_node.is_empty() {
        node.id.clone_from(&options.service_node);
    }
    if !options.service_cluster.is_empty() {
        node.cluster.clone_from(&options.service_cluster);
    }
    if !options.service_zone.is_empty() {
        node.locality.get_or_insert_default().zone.clone_from(&options.service_zone);
    }
    let original = message.encode_to_vec();

    let refused = |error: StatsSpecError| At::root("stats_config").error(error);
    // The bootstrap says how to count, and counts nothing itself.
    let nobody = Registry::new(StatsSpec::default(), 1).map_err(refused)?;
    let cx = Cx::new(&nobody);
    let mut bootstrap = config::bootstrap::bootstrap(message, &cx)?;
    let mut ignored = cx.take_ignored();

    let registry = Registry::new(bootstrap.stats.clone(), workers).map_err(refused)?;
    let runtime = std::mem::take(&mut bootstrap.runtime);
    let own = std::mem::take(&mut bootstrap.node.own);
    let mesh = Mesh::new(own, &registry, metrics);
    let environment =
        Arc::new(Environment { registry, runtime, secrets: SecretCells::default(), mesh });
    let mut store = Store::new(environment, Arc::default());
    for (field, resources) in [
        ("clusters", static_resources(ResourceType::Cluster, &bootstrap.clusters, |c| &c.name)),
        ("listeners", static_resources(ResourceType::Listener, &bootstrap.listeners, |l| &l.name)),
    ] {
        for (index, resource) in resources.into_iter().enumerate() {
            let root = format!("static_resources.{field}[{index}]");
            let without_effect = store.take_static(resource, &At::root(&root))?;
            let placed =
                |Ignored { path, reason }| Ignored { path: format!("{root}.{path}"), reason };
            ignored.extend(without_effect.into_iter().map(placed));
        }
    }
    if let Some((secret, cluster)) = store.first_unknown_server() {
        return Err(At::root("static_resources").error(format_args!(
            "secret {secret}: its server {cluster} is no cluster of the bootstrap, or one that is discovered"
        )));
    }
    if let Some(server) = &bootstrap.dynamic.ads
        && !store.is_of_bootstrap(&server.cluster)
    {
        let at = At::root("dynamic_resources");
        let at = at.field("ads_config");
        return Err(at.error(format_args!(
            "{} is no cluster of the bootstrap, or one that is discovered",
            server.cluster
        )));
    }
    Ok(Loaded { bootstrap, store, original, ignored, unknown: Vec::new() })
}

/// Messages of the bootstrap as resources. One without a name gets one: its place.
fn static_resources<M: prost::Message>(
    kind: ResourceType,
    messages: &[M],
    name: impl Fn(&M) -> &String,
) -> Vec<Resource> {
    let resource = |(index, message): (usize, &M)| {
        let name = name(message);
        let name = if name.is_empty() { format!("static-{index}") } else { name.clone() };
        Resource {
            kind,
            name: name.into(),
            version: Arc::default(),
            body: message.encode_to_vec().into(),
        }
    };
    messages.iter().enumerate().map(resource).collect()
}
