//! The bootstraps of the demonstration's proxies: templates in `bootstraps/`, filled with what is known only at run time.
//!
//! Every address is loopback with port 0, so that the kernel chooses and the demo runs beside anything; the proxies tell the
//! ports afterwards. A value never holds a placeholder: paths are quoted for YAML, everything else is ours.

use std::net::SocketAddr;
use std::path::Path;

use super::services::Replica;

/// Where the proxies of both versions listen, as they themselves told.
pub(super) struct Backends {
    /// The listeners of version 1, one per replica.
    pub(super) v1: Vec<SocketAddr>,
    /// The listener of version 2.
    pub(super) v2: Vec<SocketAddr>,
}

/// Who calls without being the frontend, and which certificate it shows.
pub(super) const OUTSIDERS: [(&str, Option<&str>); 4] = [
    ("intruder", Some("intruder")),
    ("reviews-itself", Some("reviews")),
    ("nobody", None),
    ("stranger", Some("stranger")),
];

/// The bootstrap of the proxy beside one version's `replicas`.
pub(super) fn reviews(proxy: &str, replicas: &[impl AsRef<Replica>], dir: &Path) -> String {
    let dir = quoted(dir);
    let mut listeners = String::new();
    let mut clusters = String::new();
    for replica in replicas.iter().map(AsRef::as_ref) {
        let port = replica.address.port().to_string();
        let values = [
            ("replica", replica.name),
            ("proxy", proxy),
            ("dir", dir.as_str()),
            ("port", port.as_str()),
        ];
        listeners += &filled(include_str!("bootstraps/replica-listener.yaml"), &values);
        clusters += &filled(include_str!("bootstraps/replica-cluster.yaml"), &values);
    }
    filled(
        include_str!("bootstraps/reviews.yaml"),
        &[("listeners", &listeners), ("clusters", &clusters)],
    )
}

/// The bootstrap of the proxy beside the frontend.
pub(super) fn frontend(backends: &Backends, dir: &Path) -> String {
    let breaker = include_str!("bootstraps/breaker.yaml");
    let outlier = include_str!("bootstraps/outlier.yaml");
    let clusters = [
        ("reviews-v1", &backends.v1, ""),
        ("reviews-v2", &backends.v2, ""),
        ("reviews-limited", &backends.v2, breaker),
        ("reviews-watched", &backends.v1, outlier),
    ];
    let clusters: String = clusters
        .into_iter()
        .map(|(name, hosts, more)| upstream(name, hosts, Some("frontend"), dir) + more)
        .collect();
    filled(
        include_str!("bootstraps/frontend.yaml"),
        &[("clusters", &clusters), ("dir", &quoted(dir))],
    )
}

/// The bootstrap of the proxy for [`OUTSIDERS`], who all call the first replica of version 1.
pub(super) fn outsiders(backends: &Backends, dir: &Path) -> String {
    let target = backends.v1.get(..1).unwrap_or_default();
    let listener = include_str!("bootstraps/outsider-listener.yaml");
    let listeners: String =
        OUTSIDERS.iter().map(|(name, _)| filled(listener, &[("name", name)])).collect();
    let clusters: String =
        OUTSIDERS.iter().map(|(name, shows)| upstream(name, target, *shows, dir)).collect();
    filled(
        include_str!("bootstraps/outsiders.yaml"),
        &[("listeners", &listeners), ("clusters", &clusters)],
    )
}

/// A cluster of proxies that are called over mutual TLS, with the certificate of `shows`.
fn upstream(name: &str, hosts: &[SocketAddr], shows: Option<&str>, dir: &Path) -> String {
    let dir = quoted(dir);
    let endpoints: Vec<String> = hosts.iter().map(endpoint).collect();
    let certificate = shows.map_or_else(String::new, |leaf| {
        format!(
            "          tls_certificates:\n          \
             - certificate_chain: {{ filename: '{dir}/{leaf}.crt' }}\n            \
             private_key: {{ filename: '{dir}/{leaf}.key' }}"
        )
    });
    filled(
        include_str!("bootstraps/upstream.yaml"),
        &[
            ("name", name),
            ("endpoints", &endpoints.join("\n")),
            ("certificate", &certificate),
            ("dir", &dir),
        ],
    )
}

fn endpoint(host: &SocketAddr) -> String {
    let (ip, port) = (host.ip(), host.port());
    format!(
        "        - endpoint: {{ address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }} }}"
    )
}

/// A path as it stands between single quotes in YAML.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace('\'', "''")
}

/// `template` with every `{{name}}` replaced by its value.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cli::Options;
    use crate::demo::certificates;
    use crate::telemetry::metrics::Own;

    #[test]
    fn the_proxy_takes_the_bootstraps_of_the_demonstration() {
        // A path that YAML would trip over if it were not quoted.
        let dir = tempfile::Builder::new().prefix("o'brien-").tempdir().unwrap();
        certificates::create(dir.path()).unwrap();
        let port = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let backends = Backends { v1: (1..=4).map(port).collect(), v2: vec![port(5)] };
        for text in [frontend(&backends, dir.path()), outsiders(&backends, dir.path())] {
            assert!(!text.contains("{{"), "a placeholder is left:\n{text}");
            let options = Options { config_yaml: Some(text), ..Options::default() };
            let loaded = crate::app::load(&options, 1, &Arc::new(Own::detached()))
                .map_err(|error| error.to_string());
            assert_eq!(loaded.err(), None);
        }
    }
}
