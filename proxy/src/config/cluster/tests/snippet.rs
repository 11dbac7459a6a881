//! A piece of YAML and the place where it belongs.
//!
//! `verdicts.txt` names the place by one word; here is the cluster around it, for us and for Envoy.

use super::{cluster, read, translated};
use crate::config::ConfigError;

/// What the words of a snippet that begin with a dollar stand for.
const ABBREVIATIONS: [(&str, &str); 4] = [
    ("$POLICY", r#""@type": type.googleapis.com/envoy.extensions.load_balancing_policies"#),
    ("$CARES", r#""@type": $T.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"#),
    ("$RAW", r#""@type": $T.extensions.transport_sockets.raw_buffer.v3.RawBuffer"#),
    ("$T", "type.googleapis.com/envoy"),
];

const HTTP: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const DNS: &str = "envoy.extensions.clusters.dns.v3.DnsCluster";
const TYPE_URL: &str = "\"@type\": type.googleapis.com/";

/// A snippet in its place.
pub(super) struct Snippet {
    yaml: String,
    /// Path of the message that the snippet is part of.
    within: String,
}

impl Snippet {
    /// `kind` is the word for the place.
    pub(super) fn new(kind: &str, text: &str) -> Self {
        let mut text = text.to_owned();
        for (short, long) in ABBREVIATIONS {
            text = text.replace(short, long);
        }
        let own = format!("{{{text}}}");
        let named = |fields: String| format!("{{name: c, {fields}}}");
        let hosts = |more: String| named(format!("load_assignment: {{cluster_name: c, {more}}}"));
        let address = "address: {socket_address: {address: 10.0.0.1, port_value: 80}}";
        let names = "load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: \
            {address: {socket_address: {address: foo.com, port_value: 80}}}}]}]}";
        let (yaml, within) = match kind {
            "whole" => (own, String::new()),
            "cluster" => (named(text), String::new()),
            "strict" => (named(format!("type: STRICT_DNS, {names}, {text}")), String::new()),
            "dns" => {
                let config = format!("{{{TYPE_URL}{DNS}, {text}}}");
                let kind =
                    format!("cluster_type: {{name: envoy.clusters.dns, typed_config: {config}}}");
                (named(format!("{kind}, {names}")), "cluster_type.typed_config".into())
            }
            "assignment" => (hosts(text), "load_assignment".into()),
            "locality" => {
                (hosts(format!("endpoints: [{own}]")), "load_assignment.endpoints[0]".into())
            }
            "host" => (
                hosts(format!("endpoints: [{{lb_endpoints: [{own}]}}]")),
                "load_assignment.endpoints[0].lb_endpoints[0]".into(),
            ),
            "endpoint" => (
                hosts(format!(
                    "endpoints: [{{lb_endpoints: [{{endpoint: {{{address}, {text}}}}}]}}]"
                )),
                "load_assignment.endpoints[0].lb_endpoints[0].endpoint".into(),
            ),
            "limits" => (
                named(format!("circuit_breakers: {{thresholds: [{own}]}}")),
                "circuit_breakers.thresholds[0]".into(),
            ),
            "outlier" => (named(format!("outlier_detection: {own}")), "outlier_detection".into()),
            "common" => (named(format!("common_lb_config: {own}")), "common_lb_config".into()),
            "policy" => {
                let config = format!("{{name: p, typed_config: {own}}}");
                let policy = format!("{{policies: [{{typed_extension_config: {config}}}]}}");
                let within = "load_balancing_policy.policies[0].typed_extension_config";
                (named(format!("load_balancing_policy: {policy}")), within.into())
            }
            "bind" => {
                (named(format!("upstream_bind_config: {own}")), "upstream_bind_config".into())
            }
            "http" => (
                named(format!(
                    "typed_extension_protocol_options: {{{HTTP}: {{{TYPE_URL}{HTTP}, {text}}}}}"
                )),
                format!("typed_extension_protocol_options[\"{HTTP}\"]"),
            ),
            _ => panic!("no place is called {kind}"),
        };
        Self { yaml, within }
    }

    /// Our refusal, if we refuse it; its path begins at the snippet.
    pub(super) fn refusal(&self) -> Option<String> {
        let (refusal, _) = translated(|at, cx| cluster(read(&self.yaml), at, cx).err());
        let ConfigError { path, reason } = refusal?;
        let path = match path.strip_prefix(&self.within) {
            Some(rest) => rest.trim_start_matches('.'),
            None => &path,
        };
        Some(if path.is_empty() { reason } else { format!("{path}: {reason}") })
    }

    /// A bootstrap with the snippet for Envoy.
    pub(super) fn bootstrap(&self) -> String {
        format!(
            "{{node: {{id: node, cluster: node}}, static_resources: {{clusters: [{}]}}}}",
            self.yaml
        )
    }
}
