//! A piece of YAML and the place where it belongs.
//!
//! `verdicts.txt` names the place by one word; here is the configuration around it, for us and for Envoy.

use outrigger_xds_api::envoy::extensions::filters::http;
use outrigger_xds_api::envoy::extensions::filters::network;
use outrigger_xds_api::google::protobuf::Any;

use super::{read, translated};
use crate::config::{At, ConfigError, Cx, filters, route};

/// What the words of a snippet that begin with a dollar stand for.
const ABBREVIATIONS: [(&str, &str); 6] = [
    ("$CORS", r#""@type": $T/extensions.filters.http.cors.v3.CorsPolicy"#),
    ("$FAULT", r#""@type": $T/extensions.filters.http.fault.v3.HTTPFault"#),
    ("$RBAC", r#""@type": $T/extensions.filters.http.rbac.v3.RBACPerRoute"#),
    ("$FILTER", r#""@type": $T/config.route.v3.FilterConfig"#),
    ("$TEMPLATE", r#""@type": $T/extensions.path.match.uri_template.v3.UriTemplateMatchConfig"#),
    ("$T", "type.googleapis.com/envoy"),
];

const HTTP_RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
const ROUTE: &str = "virtual_hosts[0].routes[0]";

/// A snippet in its place.
pub(super) struct Snippet {
    place: Place,
    yaml: String,
    /// Path of the message that the snippet is part of.
    within: String,
}

enum Place {
    /// A route configuration.
    Table,
    /// The configuration of an HTTP filter of this type.
    Http(&'static str),
    /// A network filter for authorization.
    NetworkRbac,
}

impl Snippet {
    /// `kind` is the word for the place.
    pub(super) fn new(kind: &str, text: &str) -> Self {
        let mut text = text.to_owned();
        for (short, long) in ABBREVIATIONS {
            text = text.replace(&format!("{short}/"), &format!("{long}."));
            text = text.replace(short, long);
        }
        let host = |host: String| (Place::Table, format!("{{name: t, virtual_hosts: [{host}]}}"));
        let table =
            |route: String| host(format!("{{name: v, domains: [\"*\"], routes: [{route}]}}"));
        let match_all = "match: {prefix: /}";
        let forward = |more: &str| format!("{{{match_all}, route: {{{more}}}}}");
        let policy = |permission: &str, principal: &str| {
            let rules = format!("{{permissions: [{permission}], principals: [{principal}]}}");
            (Place::Http(HTTP_RBAC), format!("{{rules: {{policies: {{p: {rules}}}}}}}"))
        };
        let any = "{any: true}";
        let own = format!("{{{text}}}");
        let ((place, yaml), within) = match kind {
            "table" => ((Place::Table, own), String::new()),
            "host" => (host(own), "virtual_hosts[0]".into()),
            "route" => (table(own), ROUTE.into()),
            "match" => (
                table(format!("{{match: {own}, route: {{cluster: one}}}}")),
                format!("{ROUTE}.match"),
            ),
            "action" => (table(forward(&text)), format!("{ROUTE}.route")),
            "retry" => (
                table(forward(&format!("cluster: one, retry_policy: {own}"))),
                format!("{ROUTE}.route.retry_policy"),
            ),
            "weighted" => (
                table(forward(&format!("weighted_clusters: {own}"))),
                format!("{ROUTE}.route.weighted_clusters"),
            ),
            "redirect" => {
                (table(format!("{{{match_all}, redirect: {own}}}")), format!("{ROUTE}.redirect"))
            }
            "direct" => (
                table(format!("{{{match_all}, direct_response: {own}}}")),
                format!("{ROUTE}.direct_response"),
            ),
            "add" => (
                table(format!(
                    "{{{match_all}, route: {{cluster: one}}, request_headers_to_add: [{own}]}}"
                )),
                format!("{ROUTE}.request_headers_to_add[0]"),
            ),
            "filter" => (
                table(format!(
                    "{{{match_all}, route: {{cluster: one}}, typed_per_filter_config: {{f: {own}}}}}"
                )),
                format!("{ROUTE}.typed_per_filter_config[\"f\"]"),
            ),
            "fault" => (
                (Place::Http("envoy.extensions.filters.http.fault.v3.HTTPFault"), own),
                String::new(),
            ),
            "rbac" => ((Place::Http(HTTP_RBAC), own), String::new()),
            "permission" => (policy(&own, any), "rules.policies[\"p\"].permissions[0]".into()),
            "principal" => (policy(any, &own), "rules.policies[\"p\"].principals[0]".into()),
            "network" => ((Place::NetworkRbac, own), String::new()),
            _ => panic!("no place is called {kind}"),
        };
        Self { place, yaml, within }
    }

    /// Our refusal, if we refuse it; its path begins at the snippet.
    pub(super) fn refusal(&self) -> Option<String> {
        let (refusal, _) = translated(|at, cx| self.translate(at, cx).err());
        let ConfigError { path, reason } = refusal?;
        let path = match path.strip_prefix(&self.within) {
            Some(rest) => rest.trim_start_matches('.'),
            None => &path,
        };
        Some(if path.is_empty() { reason } else { format!("{path}: {reason}") })
    }

    fn translate(&self, at: &At<'_>, cx: &Cx<'_>) -> Result<(), ConfigError> {
        match self.place {
            Place::Table => route::inline_table(read(&self.yaml), at, cx).map(drop),
            Place::Http(type_name) => {
                let value = if type_name == HTTP_RBAC {
                    prost::Message::encode_to_vec(&read::<http::rbac::v3::Rbac>(&self.yaml))
                } else {
                    prost::Message::encode_to_vec(&read::<http::fault::v3::HttpFault>(&self.yaml))
                };
                let any = Any { type_url: format!("type.googleapis.com/{type_name}"), value };
                filters::http_filter(&any, at, cx, "p", crate::listener::Direction::Inbound)
                    .map(drop)
            }
            Place::NetworkRbac => {
                let message = read::<network::rbac::v3::Rbac>(&self.yaml);
                filters::rbac::network(message, at, cx).map(drop)
            }
        }
    }

    /// A bootstrap with the snippet for Envoy.
    pub(super) fn bootstrap(&self) -> String {
        let typed = |type_name: &str, yaml: &str| {
            let fields = yaml.strip_prefix('{').unwrap();
            format!(
                "{{name: f, typed_config: {{\"@type\": type.googleapis.com/{type_name}, {fields}}}"
            )
        };
        let default = "{name: t, virtual_hosts: [{name: v, domains: [\"*\"]}]}".to_owned();
        let (network, http, table) = match self.place {
            Place::Table => (String::new(), String::new(), self.yaml.clone()),
            Place::Http(name) => (String::new(), format!("{}, ", typed(name, &self.yaml)), default),
            Place::NetworkRbac => {
                let name = "envoy.extensions.filters.network.rbac.v3.RBAC";
                (format!("{}, ", typed(name, &self.yaml)), String::new(), default)
            }
        };
        let router = typed("envoy.extensions.filters.http.router.v3.Router", "{}");
        let manager = typed(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            &format!("{{stat_prefix: p, http_filters: [{http}{router}], route_config: {table}}}"),
        );
        let address = "{socket_address: {address: 127.0.0.1, port_value: 29100}}";
        let listener = format!(
            "{{name: l, address: {address}, filter_chains: [{{filters: [{network}{manager}]}}]}}"
        );
        let cluster = |name: &str| format!("{{name: {name}, type: STATIC, connect_timeout: 1s}}");
        let clusters = ["one", "two"].map(cluster).join(", ");
        format!("{{static_resources: {{clusters: [{clusters}], listeners: [{listener}]}}}}")
    }
}
