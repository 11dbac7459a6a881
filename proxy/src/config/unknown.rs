//! Fields of resources that our messages do not have: a control plane that is newer than this proxy says something without effect.
//!
//! [`Store`] has each changed resource searched once, by its bytes and before it is translated; equal bytes never. What is found is counted
//! (envoy: `server.dynamic_unknown_fields`), logged by resource, and shown by `/config_dump`. Nothing is refused for it, as in Envoy.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use outrigger_xds::{Resource, ResourceType};
use outrigger_xds_api::unknown::{self, Unknown};
use serde_json::{Value, json};

use super::dump::DumpQuery;
use super::store::Store;
use crate::telemetry::metrics::{ServerStat, ServerStats};

/// The unknown fields of what was said last, by resource.
pub(super) struct UnknownFields {
    stats: ServerStats,
    found: BTreeMap<(ResourceType, Arc<str>), Found>,
}

struct Found {
    /// What was searched: a resource that is refused for another reason comes again.
    body: Bytes,
    fields: Unknown,
}

impl UnknownFields {
    pub(super) const fn new(stats: ServerStats) -> Self {
        Self { stats, found: BTreeMap::new() }
    }

    /// Searches a resource that differs from the one that is held.
    pub(super) fn search(&mut self, resource: &Resource) {
        let Resource { kind, name, body, .. } = resource;
        let key = (*kind, name.clone());
        if self.found.get(&key).is_some_and(|found| found.body == *body) {
            return;
        }
        let fields = unknown::find(kind.message_name(), body);
        if fields.count == 0 {
            self.found.remove(&key);
            return;
        }
        self.stats.add(ServerStat::dynamic_unknown_fields, fields.count);
        let (noun, Unknown { count, paths }) = (kind.noun(), &fields);
        tracing::warn!(
            "{noun} {name}: {count} unknown fields have no effect: {}",
            paths.join(", ")
        );
        self.found.insert(key, Found { body: body.clone(), fields });
    }

    /// The resource is gone.
    pub(super) fn forget(&mut self, kind: ResourceType, name: &Arc<str>) {
        if !self.found.is_empty() {
            self.found.remove(&(kind, name.clone()));
        }
    }
}

impl Store {
    /// The bootstrap has fields that are not known, and were allowed. It counts as one message, whatever it holds. (envoy:
    /// `--allow-unknown-static-fields`)
    pub fn count_unknown_static(&self) {
        self.unknown.stats.add(ServerStat::static_unknown_fields, 1);
    }

    /// Resources with unknown fields: type, name, how many, and where the first of them are.
    #[must_use]
    pub fn dump_unknown_fields(&self, query: &DumpQuery) -> Vec<Value> {
        let found = self.unknown.found.iter().filter(|((_, name), _)| query.accepts(name));
        let shown = found.map(|((kind, name), found)| {
            let Unknown { count, paths } = &found.fields;
            json!({ "type_url": kind.type_url(), "name": **name, "count": count, "paths": paths })
        });
        shown.collect()
    }
}
