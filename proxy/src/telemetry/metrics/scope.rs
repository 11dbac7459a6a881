//! What a family instance's stats are called: a prefix such as `cluster.up.`, and for series with labels
//! of their own a suffix that spells these out.
//!
//! The prefix is given whole by who makes the instance; the functions here know how Envoy makes it where
//! that is more than joining words with dots.

use std::fmt::Write as _;
use std::sync::Arc;

/// The scope of one family instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// What stands before each stat's name, with its last dot.
    pub(super) prefix: Box<str>,
    /// What stands after it: `.reporter.source.…` for series with labels, else nothing.
    pub(super) suffix: Box<str>,
    /// The labels of a series; empty if labels come from the tag rules.
    pub(super) labels: Box<[(Arc<str>, Box<str>)]>,
}

impl Scope {
    /// `prefix` as in `http.ingress.`, with its last dot.
    #[must_use]
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), ..Self::default() }
    }

    /// A series in a custom namespace such as `istiocustom`: its labels are these, in this order, and no
    /// tag rule is asked. (envoy: Stats::Utility::counterFromStatNames with tags)
    #[must_use]
    pub(super) fn labelled(namespace: &str, labels: &[(Arc<str>, &str)]) -> Self {
        let mut suffix = String::new();
        for (name, value) in labels {
            // Writing to a string cannot fail.
            let _ = write!(suffix, ".{name}.{value}");
        }
        Self {
            prefix: format!("{namespace}.").into(),
            suffix: suffix.into(),
            labels: labels.iter().map(|(name, value)| (name.clone(), Box::from(*value))).collect(),
        }
    }

    /// The full name of the stat `name`, in place of what `out` held.
    pub(super) fn full_name<'a>(&self, name: &str, out: &'a mut String) -> &'a str {
        out.clear();
        out.push_str(&self.prefix);
        out.push_str(name);
        out.push_str(&self.suffix);
        out
    }
}

/// The prefix of a cluster's stats; `alt_stat_name` wins unless it is empty.
/// (envoy: config.cluster.v3.Cluster.alt_stat_name)
#[must_use]
pub fn cluster_prefix(name: &str, alt_stat_name: &str) -> String {
    let name = if alt_stat_name.is_empty() { name } else { alt_stat_name };
    format!("cluster.{}.", sanitize(name).trim_end_matches('.'))
}

/// The prefix of a listener's stats; `stat_prefix` wins over `address` (`127.0.0.1:80`, `[::1]:80`)
/// unless it is empty. (envoy: config.listener.v3.Listener.stat_prefix)
#[must_use]
pub fn listener_prefix(address: &str, stat_prefix: &str) -> String {
    let name = if stat_prefix.is_empty() { address } else { stat_prefix };
    format!("listener.{}.", sanitize(name).trim_end_matches('.'))
}

/// Colons, schemes and NUL become `_`. (envoy: Stats::Utility::sanitizeStatsName)
fn sanitize(name: &str) -> String {
    name.replace("://", "_").replace(":/", "_").replace([':', '\0'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_sanitized_as_envoy_does() {
        for (name, alt, prefix) in [
            ("a", "", "cluster.a."),
            ("a:b", "", "cluster.a_b."),
            ("a://b", "", "cluster.a_b."),
            ("x.", "", "cluster.x."),
            ("a", "outbound|80||b.c;", "cluster.outbound|80||b.c;."),
        ] {
            assert_eq!(cluster_prefix(name, alt), prefix);
        }
        assert_eq!(listener_prefix("127.0.0.1:80", ""), "listener.127.0.0.1_80.");
        assert_eq!(listener_prefix("[::1]:80", ""), "listener.[__1]_80.");
        assert_eq!(listener_prefix("[::1]:80", "admin"), "listener.admin.");
    }

    #[test]
    fn labels_follow_the_name() {
        let scope =
            Scope::labelled("istiocustom", &[("reporter".into(), "source"), ("code".into(), "")]);
        let mut name = String::from("old");
        assert_eq!(
            scope.full_name("istio_requests_total", &mut name),
            "istiocustom.istio_requests_total.reporter.source.code."
        );
    }
}
