//! The expressions that labels of the user's own may be: names of attributes, and texts.
//!
//! Istio lets them be any CEL. These are what its documentation and its users put there; the value of any other is `unknown`, which is
//! what Istio shows of one that fails. (istio: Telemetry, `tagOverrides`)

use std::sync::Arc;

use outrigger_policy::head::RequestHead;

use crate::peer::Peer;
use crate::telemetry::StreamInfo;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A text.
    Literal(Arc<str>),
    /// `request.method`
    Method,
    /// `request.host`
    Host,
    /// `request.url_path`: the path without its query.
    UrlPath,
    /// `request.protocol`
    Protocol,
    /// `response.code`
    Code,
    /// `xds.cluster_name`
    ClusterName,
    /// `xds.route_name`
    RouteName,
    /// `downstream_peer.FIELD` or `upstream_peer.FIELD`
    Peer {
        /// Of the client.
        is_downstream: bool,
        /// What of it.
        field: PeerField,
    },
    /// One that is not known here.
    Unknown,
}

/// A field of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerField {
    /// `workload`
    Workload,
    /// `namespace`
    Namespace,
    /// `cluster`
    Cluster,
    /// `service`
    Service,
    /// `revision`
    Revision,
    /// `app`
    App,
    /// `version`
    Version,
    /// `identity`
    Identity,
}

/// What is shown for a value that is not there.
const UNKNOWN: &str = "unknown";

impl Expression {
    /// Reads an expression; [`Self::Unknown`] if it is none of ours.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        for quote in ['"', '\''] {
            let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            if let Some(inner) = inner.filter(|inner| !inner.contains([quote, '\\'])) {
                return Self::Literal(inner.into());
            }
        }
        match text {
            "request.method" => Self::Method,
            "request.host" => Self::Host,
            "request.url_path" => Self::UrlPath,
            "request.protocol" => Self::Protocol,
            "response.code" => Self::Code,
            "xds.cluster_name" => Self::ClusterName,
            "xds.route_name" => Self::RouteName,
            _ => Self::peer(text).unwrap_or(Self::Unknown),
        }
    }

    fn peer(text: &str) -> Option<Self> {
        let text = text.strip_prefix("filter_state.").unwrap_or(text);
        let (peer, field) = text.split_once('.')?;
        let is_downstream = match peer {
            "downstream_peer" => true,
            "upstream_peer" => false,
            _ => return None,
        };
        let field = match field {
            "workload" => PeerField::Workload,
            "namespace" => PeerField::Namespace,
            "cluster" => PeerField::Cluster,
            "service" => PeerField::Service,
            "revision" => PeerField::Revision,
            "app" => PeerField::App,
            "version" => PeerField::Version,
            "identity" => PeerField::Identity,
            _ => return None,
        };
        Some(Self::Peer { is_downstream, field })
    }

    /// Its value for a stream.
    #[must_use]
    pub fn value(&self, request: Option<&RequestHead>, info: &StreamInfo) -> Box<str> {
        let text = |bytes: Option<&[u8]>| -> Box<str> {
            bytes.map_or_else(|| UNKNOWN.into(), |bytes| String::from_utf8_lossy(bytes).into())
        };
        match self {
            Self::Literal(literal) => (&**literal).into(),
            Self::Method => text(request.map(RequestHead::method)),
            Self::Host => text(request.and_then(RequestHead::authority)),
            Self::UrlPath => text(request.map(RequestHead::path_without_query)),
            Self::Protocol => info.protocol.map_or(UNKNOWN, |protocol| protocol.as_str()).into(),
            Self::Code => info.response_code.to_string().into(),
            Self::ClusterName => info.cluster_name.as_deref().unwrap_or(UNKNOWN).into(),
            Self::RouteName => (&*info.route_name).into(),
            Self::Peer { is_downstream: true, field } => field.of(info.downstream_peer.peer()),
            Self::Peer { is_downstream: false, field } => {
                field.of(info.upstream.borrow().peer.peer())
            }
            Self::Unknown => UNKNOWN.into(),
        }
    }
}

impl PeerField {
    fn of(self, peer: Option<&Peer>) -> Box<str> {
        let Some(peer) = peer else { return UNKNOWN.into() };
        match self {
            Self::Workload => &peer.workload,
            Self::Namespace => &peer.namespace,
            Self::Cluster => &peer.cluster,
            Self::Service => &peer.canonical_name,
            Self::Revision => &peer.canonical_revision,
            Self::App => &peer.app,
            Self::Version => &peer.version,
            Self::Identity => &peer.identity,
        }
        .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_and_texts_are_known_and_nothing_else() {
        assert_eq!(Expression::read("request.method"), Expression::Method);
        assert_eq!(Expression::read(" 'a b' "), Expression::Literal("a b".into()));
        assert_eq!(Expression::read("\"x\""), Expression::Literal("x".into()));
        let workload = Expression::Peer { is_downstream: false, field: PeerField::Workload };
        assert_eq!(Expression::read("upstream_peer.workload"), workload);
        assert_eq!(Expression::read("filter_state.upstream_peer.workload"), workload);
        for other in ["", "'", "'a' + 'b'", "request.method + 'x'", "upstream_peer.labels['a']"] {
            assert_eq!(Expression::read(other), Expression::Unknown, "{other}");
        }
    }
}
