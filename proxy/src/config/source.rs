//! Where a resource is subscribed to. (envoy: config.core.v3.ConfigSource)
//!
//! The aggregated stream, a file, or for secrets a stream of their own, as Istio's agent serves them.

use std::sync::Arc;
use std::time::Duration;

use outrigger_xds::Mode;
use outrigger_xds::source::filesystem::WatchedFile;
use outrigger_xds_api::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use outrigger_xds_api::envoy::config::core::v3::{
    AggregatedConfigSource, ConfigSource as Message, PathConfigSource, WatchedDirectory,
};

use super::common::{Translated, enumeration, non_empty, required, timeout};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;
use super::management_server::{ManagementServer, management_server};

/// (envoy: ConfigSource.initial_fetch_timeout)
const INITIAL_FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// A source of resources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The bootstrap's one aggregated stream.
    Ads,
    /// A file.
    File(WatchedFile),
    /// A stream of its own.
    Server(Arc<ManagementServer>),
}

/// A source, and how long it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSource {
    /// The source.
    pub source: Source,
    /// What waits for the first answer goes on after this; `None` is never.
    pub initial_fetch_timeout: Option<Duration>,
}

/// Translates a source of anything but secrets.
pub(super) fn config_source(
    message: Message,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<ConfigSource> {
    let source = secret_source(message, at, cx)?;
    match source.source {
        Source::Server(_) => Err(at
            .field("api_config_source")
            .unsupported("a stream of its own for other than secrets")),
        Source::Ads | Source::File(_) => Ok(source),
    }
}

/// Translates a source of secrets.
pub(super) fn secret_source(
    message: Message,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<ConfigSource> {
    fields!(cx, at, message => Message {
        used: initial_fetch_timeout, resource_api_version, config_source_specifier;
        refused: authorities = "a federation of control planes";
    });
    api_version(resource_api_version, &at.field("resource_api_version"))?;
    let initial_fetch_timeout = timeout(
        initial_fetch_timeout,
        Some(INITIAL_FETCH_TIMEOUT),
        &at.field("initial_fetch_timeout"),
    )?;
    let source = match required(config_source_specifier, at)? {
        ConfigSourceSpecifier::Ads(AggregatedConfigSource {}) => Source::Ads,
        ConfigSourceSpecifier::Path(path) => Source::File(WatchedFile {
            path: existing(path, &at.field("path"))?.into(),
            directory: None,
        }),
        ConfigSourceSpecifier::PathConfigSource(message) => {
            Source::File(file(message, &at.field("path_config_source"), cx)?)
        }
        ConfigSourceSpecifier::ApiConfigSource(message) => {
            let at = at.field("api_config_source");
            let server = management_server(message, &at, cx)?;
            if server.mode != Mode::Sotw {
                return Err(at.field("api_type").unsupported("a delta stream of its own"));
            }
            Source::Server(Arc::new(server))
        }
        ConfigSourceSpecifier::Self_(_) => {
            return Err(at.field("self").unsupported("the source that the resource came from"));
        }
    };
    Ok(ConfigSource { source, initial_fetch_timeout })
}

fn file(message: PathConfigSource, at: &At<'_>, cx: &Cx<'_>) -> Translated<WatchedFile> {
    fields!(cx, at, message => PathConfigSource {
        used: path, watched_directory;
        refused: poll_interval = "polling";
    });
    let directory = match watched_directory {
        None => None,
        Some(message) => {
            let at = at.field("watched_directory");
            fields!(cx, at, message => WatchedDirectory {
                used: path;
                refused: watch_modify = "reading what is being written";
            });
            Some(existing(path, &at.field("path"))?.into())
        }
    };
    Ok(WatchedFile { path: existing(path, &at.field("path"))?.into(), directory })
}

/// A path must exist when it is named: a typing error shows at once.
fn existing(path: String, at: &At<'_>) -> Translated<String> {
    let path = non_empty(path, at)?;
    if std::path::Path::new(&path).exists() {
        Ok(path)
    } else {
        Err(at.error(format_args!(
            "paths must refer to an existing path in the system: '{path}' does not exist"
        )))
    }
}

/// AUTO is V3 by now.
pub(super) fn api_version(version: i32, at: &At<'_>) -> Translated<()> {
    use outrigger_xds_api::envoy::config::core::v3::ApiVersion;
    match enumeration(version, at)? {
        ApiVersion::Auto | ApiVersion::V3 => Ok(()),
        ApiVersion::V2 => Err(at.unsupported("version 2 of the API")),
    }
}
