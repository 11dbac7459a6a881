//! What decides who talks to whom in Istio's metrics, gathered from a stream without copying, and the labels that follow from it.
//! (envoy: contrib/istio istio_stats, `populatePeerInfo`)

use hashbrown::Equivalent;

use super::label::PEERS;
use super::{IstioStats, Reporter};
use crate::exchange::Exchange;
use crate::peer::Peer;
use crate::telemetry::StreamInfo;
use crate::upstream::metadata::Mesh;
use crate::upstream::{Cluster, Host};

/// Clusters whose names stand for a service.
const SERVICES: [&str; 5] = [
    "BlackHoleCluster",
    "PassthroughCluster",
    "InboundPassthroughCluster",
    "InboundPassthroughClusterIpv4",
    "InboundPassthroughClusterIpv6",
];

/// What the labels of a stream follow from. Two streams with equal facts have equal labels.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Facts<'a> {
    stats: u64,
    peer: u64,
    other: u64,
    host: u64,
    cluster: u64,
    service: Option<&'a str>,
    authority: &'a [u8],
    peer_principal: &'a str,
    local_principal: &'a str,
}

/// [`Facts`] to keep.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    stats: u64,
    peer: u64,
    other: u64,
    host: u64,
    cluster: u64,
    service: Option<&'static str>,
    authority: Box<[u8]>,
    peer_principal: Box<str>,
    local_principal: Box<str>,
}

impl Equivalent<Key> for Facts<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.stats == key.stats
            && self.peer == key.peer
            && self.other == key.other
            && self.host == key.host
            && self.cluster == key.cluster
            && self.service == key.service
            && *self.authority == *key.authority
            && *self.peer_principal == *key.peer_principal
            && *self.local_principal == *key.local_principal
    }
}

/// A stream, as far as labels follow from it.
pub(super) struct Sight<'a> {
    stats: &'a IstioStats,
    peer: Option<&'a Peer>,
    /// The other end of a gateway: the host's peer, while `peer` is the client's.
    other: Option<&'a Peer>,
    /// Asked for its workload, where no peer was heard.
    host: Option<&'a Host>,
    cluster: Option<&'a Cluster>,
    service: Option<&'static str>,
    authority: &'a [u8],
    peer_principal: &'a str,
    local_principal: &'a str,
}

impl<'a> Sight<'a> {
    /// Looks at an exchange, or a connection, that went to `cluster`, with what the upstream's side of it has learned.
    pub(super) fn of(
        stats: &'a IstioStats,
        info: &'a StreamInfo,
        upstream: &'a crate::telemetry::UpstreamInfo,
        cluster: Option<&'a Cluster>,
        exchange: Option<&'a Exchange>,
    ) -> Self {
        let is_source = stats.reporter == Reporter::Source;
        let of_host = upstream.peer.peer();
        let peer = if is_source { of_host } else { info.downstream_peer.peer() };
        let (peer_principal, local_principal) = if is_source {
            let tls = upstream.tls.as_deref();
            let said = || peer.map_or("", |peer| &*peer.identity);
            let proven = tls.map(|tls| &*tls.peer_uri).filter(|uri| !uri.is_empty());
            (proven.unwrap_or_else(said), tls.map_or("", |tls| &*tls.local_uri))
        } else {
            let tls = info.connection.tls.as_ref();
            let peer = tls.and_then(|tls| tls.peer.as_ref()?.identity.uri_sans.first());
            let local = tls.and_then(|tls| tls.local_uris.first());
            (peer.map_or("", |uri| &**uri), local.map_or("", |uri| &**uri))
        };
        let service = match &*info.route_name {
            "block_all" => Some("BlackHoleCluster"),
            "allow_any" => Some("PassthroughCluster"),
            _ => SERVICES.into_iter().find(|name| cluster.is_some_and(|c| *c.name == **name)),
        };
        let is_named = service.is_none() && cluster.is_some_and(|c| c.settings.mesh.host.is_some());
        let authority = exchange
            .filter(|_| stats.uses_host_header && !is_named)
            .and_then(|exchange| exchange.request.authority());
        Self {
            stats,
            peer,
            other: of_host.filter(|_| stats.reporter == Reporter::Waypoint),
            host: upstream.host.as_deref().filter(|_| is_source && peer.is_none()),
            cluster,
            service,
            authority: authority.unwrap_or_default(),
            peer_principal,
            local_principal,
        }
    }

    /// What labels follow from.
    #[must_use]
    pub(super) fn facts(&self) -> Facts<'a> {
        Facts {
            stats: self.stats.id,
            peer: self.peer.map_or(0, |peer| peer.id),
            other: self.other.map_or(0, |peer| peer.id),
            host: self.host.filter(|host| host.workload.is_some()).map_or(0, |host| host.id),
            cluster: self.cluster.map_or(0, |cluster| cluster.id),
            service: self.service,
            authority: self.authority,
            peer_principal: self.peer_principal,
            local_principal: self.local_principal,
        }
    }

    /// [`Self::facts`] to keep.
    #[must_use]
    pub(super) fn key(&self) -> Key {
        let facts = self.facts();
        Key {
            stats: facts.stats,
            peer: facts.peer,
            other: facts.other,
            host: facts.host,
            cluster: facts.cluster,
            service: self.service,
            authority: facts.authority.into(),
            peer_principal: facts.peer_principal.into(),
            local_principal: facts.local_principal.into(),
        }
    }

    /// Both sides of the connection have a name that was proven; `None` where it is not ours to say.
    #[must_use]
    pub(super) fn is_mutual_tls(&self) -> Option<bool> {
        let proven = !self.peer_principal.is_empty() && !self.local_principal.is_empty();
        (self.stats.reporter != Reporter::Source).then_some(proven)
    }

    /// The values of the first [`PEERS`] labels.
    #[must_use]
    pub(super) fn values(&self) -> [Box<str>; PEERS] {
        let stats = self.stats;
        let of_host = self.host.and_then(|host| host.workload.as_deref());
        let peer = self.peer.or(of_host);
        let authority = String::from_utf8_lossy(self.authority);
        let (mut host, mut name, mut namespace) = (&*authority, &*authority, "");
        if let Some(service) = self.service {
            name = service;
        } else if let Some(Mesh { host: Some(told), .. }) =
            self.cluster.map(|cluster| &*cluster.settings.mesh)
        {
            (host, name, namespace) = (&told.host, &told.name, &told.namespace);
        }
        let of_san = namespace_of(self.peer_principal).filter(|namespace| !namespace.is_empty());
        let peer_namespace =
            of_san.or_else(|| peer.map(|peer| &*peer.namespace)).unwrap_or_default();
        let own = &stats.own.peer;
        let us = [
            &*own.workload,
            &own.canonical_name,
            &own.canonical_revision,
            &own.namespace,
            or(self.local_principal, "unknown"),
            &own.app,
            &own.version,
            &own.cluster,
        ];
        let field = |peer: Option<&'a Peer>, field: fn(&Peer) -> &str, missing| {
            or(peer.map_or("", field), missing)
        };
        let told = |peer, namespace, principal, revision| -> [&str; 8] {
            [
                field(peer, |peer| &peer.workload, "unknown"),
                field(peer, |peer| &peer.canonical_name, "unknown"),
                field(peer, |peer| &peer.canonical_revision, revision),
                or(namespace, "unknown"),
                or(principal, "unknown"),
                field(peer, |peer| &peer.app, "unknown"),
                field(peer, |peer| &peer.version, "unknown"),
                field(peer, |peer| &peer.cluster, "unknown"),
            ]
        };
        let them = told(peer, peer_namespace, self.peer_principal, "latest");
        let of = |peer: Option<&'a Peer>, field: fn(&'a Peer) -> &'a str| peer.map_or("", field);
        let (reporter, source, destination, service) = match stats.reporter {
            Reporter::Source => {
                let namespace = or(or(namespace, peer_namespace), "unknown");
                let service = [or(host, "unknown"), or(name, "unknown"), namespace];
                ("source", us, them, service)
            }
            Reporter::Destination => {
                let service =
                    [or(host, &own.canonical_name), or(name, &own.canonical_name), &*own.namespace];
                ("destination", them, us, service)
            }
            Reporter::Waypoint => {
                let other = self.other;
                let namespace_of_other = of(other, |peer| &peer.namespace);
                let identity = of(other, |peer| &peer.identity);
                let there = told(other, namespace_of_other, identity, "unknown");
                let service = [host, name, namespace].map(|value| or(value, "unknown"));
                ("waypoint", them, there, service)
            }
        };
        in_order(reporter, source, destination, service)
    }
}

/// The values in the order of the labels: of a workload they are its name, canonical name and revision, namespace, principal, app, version
/// and cluster; of the service host, name and namespace.
fn in_order(
    reporter: &str,
    source: [&str; 8],
    destination: [&str; 8],
    service: [&str; 3],
) -> [Box<str>; PEERS] {
    let [workload, canonical, revision, namespace, principal, app, version, cluster] = destination;
    let [
        s_workload,
        s_canonical,
        s_revision,
        s_namespace,
        s_principal,
        s_app,
        s_version,
        s_cluster,
    ] = source;
    let [service_host, service_name, service_namespace] = service;
    [
        reporter,
        s_workload,
        s_canonical,
        s_revision,
        s_namespace,
        s_principal,
        s_app,
        s_version,
        s_cluster,
        workload,
        namespace,
        principal,
        app,
        version,
        service_host,
        canonical,
        revision,
        service_name,
        service_namespace,
        cluster,
    ]
    .map(Box::from)
}

const fn or<'a>(value: &'a str, missing: &'a str) -> &'a str {
    if value.is_empty() { missing } else { value }
}

/// The namespace in `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
fn namespace_of(principal: &str) -> Option<&str> {
    let (_, rest) = principal.split_once("/ns/")?;
    rest.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_stands_in_the_principal() {
        assert_eq!(namespace_of("spiffe://cluster.local/ns/default/sa/x"), Some("default"));
        assert_eq!(namespace_of("spiffe://cluster.local/ns/default"), Some("default"));
        assert_eq!(namespace_of("spiffe://cluster.local/sa/x"), None);
    }
}
