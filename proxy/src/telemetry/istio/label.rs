//! The standard labels of Istio's metrics, and what configuration makes of them: removed, replaced, added.
//! (envoy: contrib/istio istio_stats, `MetricOverrides`)

use std::sync::Arc;

/// Every standard label, in the order in which series show them.
pub const NAMES: [&str; 25] = [
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service_name",
    "destination_service_namespace",
    "destination_cluster",
    "request_protocol",
    "response_code",
    "grpc_response_status",
    "response_flags",
    "connection_security_policy",
];

/// Labels that say who talks to whom: the first of [`NAMES`], and all that message counters have.
pub(super) const PEERS: usize = 20;
/// Place of `request_protocol`.
pub(super) const PROTOCOL: usize = 20;
/// Place of `response_code`.
pub(super) const CODE: usize = 21;
/// Place of `grpc_response_status`.
pub(super) const GRPC_STATUS: usize = 22;
/// Place of `response_flags`.
pub(super) const FLAGS: usize = 23;
/// Place of `connection_security_policy`.
pub(super) const SECURITY: usize = 24;

/// Labels of requests.
pub const HTTP: &[usize] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
    PROTOCOL,
    CODE,
    GRPC_STATUS,
    FLAGS,
    SECURITY,
];
/// Labels of message counters.
pub const GRPC: &[usize] = HTTP.split_at(PEERS).0;
/// Labels of connections.
pub const TCP: &[usize] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, PROTOCOL, FLAGS, SECURITY,
];

/// A label of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: Arc<str>,
    /// Where its value comes from.
    pub value: Source,
}

/// Where a label's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The standard one at this place of [`NAMES`].
    Standard(usize),
    /// The expression at this place of the filter's list.
    Computed(usize),
}

/// What configuration changes for the labels of one metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// It is not reported.
    pub is_dropped: bool,
    /// Standard labels that go (`None`) or come from an expression; a later change wins.
    pub overridden: Vec<(usize, Option<usize>)>,
    /// Further labels, and their expressions.
    pub added: Vec<(Arc<str>, usize)>,
}

impl Changes {
    /// `standard` labels with the changes.
    #[must_use]
    pub fn labels(&self, standard: &[usize]) -> Vec<Label> {
        let change = |place: &usize| {
            let mut changes = self.overridden.iter().rev();
            changes.find(|(changed, _)| changed == place).map(|(_, change)| *change)
        };
        let standard = standard.iter().filter_map(|place| {
            let value = match change(place) {
                None => Source::Standard(*place),
                Some(Some(expression)) => Source::Computed(expression),
                Some(None) => return None,
            };
            Some(Label { name: (*NAMES.get(*place)?).into(), value })
        });
        let added = self.added.iter().map(|(name, expression)| Label {
            name: name.clone(),
            value: Source::Computed(*expression),
        });
        standard.chain(added).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_names() {
        for (place, name) in [
            (PROTOCOL, "request_protocol"),
            (CODE, "response_code"),
            (GRPC_STATUS, "grpc_response_status"),
            (FLAGS, "response_flags"),
            (SECURITY, "connection_security_policy"),
        ] {
            assert_eq!(NAMES.get(place), Some(&name));
        }
        assert_eq!(HTTP.len(), NAMES.len());
        assert_eq!(GRPC.last().and_then(|at| NAMES.get(*at)), Some(&"destination_cluster"));
    }

    #[test]
    fn labels_go_are_replaced_in_their_place_and_come_at_the_end() {
        let changes = Changes {
            overridden: vec![(FLAGS, None), (0, None), (0, Some(1))],
            added: vec![("request_method".into(), 0)],
            ..Changes::default()
        };
        let labels = changes.labels(&[0, 1, FLAGS]);
        let shown: Vec<_> = labels.iter().map(|label| (&*label.name, label.value)).collect();
        assert_eq!(
            shown,
            [
                ("reporter", Source::Computed(1)),
                ("source_workload", Source::Standard(1)),
                ("request_method", Source::Computed(0)),
            ]
        );
    }
}
