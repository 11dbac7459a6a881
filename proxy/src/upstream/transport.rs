//! How a host is connected to: plain or TLS, and which of several ways a host's metadata selects.
//! (envoy: Cluster.transport_socket, transport_socket_matches)

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::tls::{ClientSpec, ClientTls, Discovered, InUse};

/// What stands between the socket and HTTP.
#[derive(Debug)]
pub enum Transport {
    /// Nothing.
    Plain,
    /// TLS.
    Tls(ClientTls),
    /// TLS whose secrets are discovered: while one is missing no connection is made, and never a plain one.
    Discovered(Box<Discovered<ClientSpec>>),
}

impl Transport {
    /// The scheme that the upstream is spoken to with.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// Labels of an endpoint that select a transport: metadata `envoy.transport_socket_match`.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// The ways of a cluster: the first whose labels an endpoint has all, else the default.
#[derive(Clone, Debug)]
pub struct Transports {
    /// Labels and transport, in order.
    pub matches: Vec<(Labels, Arc<Transport>)>,
    /// For endpoints that match none.
    pub default: Arc<Transport>,
}

impl Transports {
    /// Plain for all.
    #[must_use]
    pub fn plain() -> Self {
        Self { matches: Vec::new(), default: Arc::new(Transport::Plain) }
    }

    /// The certificates of all of them.
    #[must_use]
    pub fn in_use(&self) -> Vec<InUse> {
        let all = self.matches.iter().map(|(_, transport)| transport).chain([&self.default]);
        all.filter_map(|transport| match &**transport {
            Transport::Tls(tls) => Some(tls.in_use().clone()),
            Transport::Discovered(tls) => tls.in_use(),
            Transport::Plain => None,
        })
        .collect()
    }

    /// The transport of an endpoint with these labels, in a locality with those.
    #[must_use]
    pub fn select(&self, own: &Labels, of_locality: &Labels) -> &Arc<Transport> {
        let has = |labels: &Labels, wanted: &Labels| {
            wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let mut matches = self.matches.iter();
        let found = matches.find(|(wanted, _)| has(own, wanted) || has(of_locality, wanted));
        found.map_or(&self.default, |(_, transport)| transport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_whose_labels_are_all_there_is_taken() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
        };
        let (tls, any) = (Arc::new(Transport::Plain), Arc::new(Transport::Plain));
        let transports = Transports {
            matches: vec![
                (labels(&[("tlsMode", "istio")]), tls.clone()),
                (labels(&[]), any.clone()),
            ],
            default: Arc::new(Transport::Plain),
        };
        let select = |pairs| transports.select(&labels(pairs), &labels(&[("other", "x")]));
        assert!(Arc::ptr_eq(select(&[("tlsMode", "istio"), ("a", "b")]), &tls));
        assert!(Arc::ptr_eq(select(&[("tlsMode", "other")]), &any));
        assert!(Arc::ptr_eq(select(&[]), &any));
        let by_locality = transports.select(&labels(&[]), &labels(&[("tlsMode", "istio")]));
        assert!(Arc::ptr_eq(by_locality, &tls));
    }
}
