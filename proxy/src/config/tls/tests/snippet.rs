//! A piece of YAML and the place where it belongs in a transport socket, for us and for Envoy.

use std::sync::LazyLock;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_RSA_SHA256};

use crate::config::ConfigError;
use crate::config::route::tests::{read, translated};
use crate::config::tls::{client_transport, server_transport};

const TYPES: &str = "type.googleapis.com/envoy.extensions.transport_sockets";

/// Words of snippets and the text that they stand for.
static WORDS: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str, key: &KeyPair| {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        params.signed_by(key, &ca).unwrap().pem()
    };
    let (key, other_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let rsa_key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let inline = |text: &str| format!("{{inline_string: {text:?}}}");
    let pair = |chain: &str, key: &KeyPair| {
        let key = inline(&key.serialize_pem());
        format!("{{certificate_chain: {}, private_key: {key}}}", inline(chain))
    };
    let chain = issue("a.example.com", &key);
    vec![
        ("$OTHER_KEY", inline(&other_key.serialize_pem())),
        ("$RSA", pair(&issue("rsa.example.com", &rsa_key), &rsa_key)),
        ("$PAIR", pair(&chain, &key)),
        ("$CHAIN", inline(&chain)),
        ("$KEY", inline(&key.serialize_pem())),
        ("$CA", inline(&ca.pem())),
        ("$SDS", "sds_config: {path_config_source: {path: /dev/null}}".to_owned()),
        ("$HEX", "df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a".to_owned()),
        ("$SPKI", "NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=".to_owned()),
        ("$T", TYPES.to_owned()),
    ]
});

/// A snippet in its place.
pub(super) struct Snippet {
    is_server: bool,
    /// The transport socket.
    yaml: String,
    /// Path of the message that the snippet is part of.
    within: &'static str,
}

impl Snippet {
    /// `kind` is the word for the place: `server` or `client` for the whole message, with a dot and a part after it for that part.
    pub(super) fn new(kind: &str, text: &str) -> Self {
        let mut text = text.to_owned();
        for (word, meaning) in &*WORDS {
            text = text.replace(word, meaning);
        }
        let pair = &WORDS.iter().find(|(word, _)| *word == "$PAIR").unwrap().1;
        let (side, part) = kind.split_once('.').unwrap_or((kind, ""));
        let is_server = match side {
            "server" => true,
            "client" => false,
            _ => panic!("no place is called {kind}"),
        };
        let own = if is_server { format!("tls_certificates: [{pair}], ") } else { String::new() };
        let (body, within) = match part {
            "" => (text, "typed_config"),
            "more" => (format!("common_tls_context: {{{own}}}, {text}"), "typed_config"),
            "common" => {
                (format!("common_tls_context: {{{own}{text}}}"), "typed_config.common_tls_context")
            }
            "params" => (
                format!("common_tls_context: {{{own}tls_params: {{{text}}}}}"),
                "typed_config.common_tls_context.tls_params",
            ),
            "cert" => (
                format!("common_tls_context: {{tls_certificates: [{{{text}}}]}}"),
                "typed_config.common_tls_context.tls_certificates[0]",
            ),
            "validation" => (
                format!("common_tls_context: {{{own}validation_context: {{{text}}}}}"),
                "typed_config.common_tls_context.validation_context",
            ),
            "socket" => {
                return Self { is_server, yaml: format!("{{{text}}}"), within: "" };
            }
            _ => panic!("no place is called {kind}"),
        };
        let context = if is_server { "Downstream" } else { "Upstream" };
        let message = format!("{{\"@type\": {TYPES}.tls.v3.{context}TlsContext, {body}}}");
        Self { is_server, yaml: format!("{{name: tls, typed_config: {message}}}"), within }
    }

    /// Our refusal, if we refuse it; its path begins at the snippet. And where something was ignored.
    pub(super) fn verdict(&self) -> (Option<String>, Vec<String>) {
        let (refusal, ignored) = translated(|at, cx| {
            let message = Some(read(&self.yaml));
            if self.is_server {
                server_transport(message, at, cx).err()
            } else {
                client_transport(message, false, at, cx).err()
            }
        });
        let shorten = |path: String| match path.strip_prefix(self.within) {
            Some(rest) => rest.trim_start_matches('.').to_owned(),
            None => path,
        };
        let refusal = refusal.map(|ConfigError { path, reason }| {
            let path = shorten(path);
            if path.is_empty() { reason } else { format!("{path}: {reason}") }
        });
        (refusal, ignored.into_iter().map(|ignored| shorten(ignored.path)).collect())
    }

    /// A bootstrap with the snippet for Envoy.
    pub(super) fn bootstrap(&self) -> String {
        let socket = format!("transport_socket: {}", self.yaml);
        let (of_listener, of_cluster) =
            if self.is_server { (socket, String::new()) } else { (String::new(), socket) };
        let proxy = "{name: p, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
                     stat_prefix: p, cluster: one}}";
        let address = "{socket_address: {address: 127.0.0.1, port_value: 31000}}";
        let node = "node: {id: i, cluster: c}";
        format!(
            "{{{node}, static_resources: {{clusters: [{{name: one, type: STATIC, {of_cluster}}}], \
             listeners: [{{name: l, address: {address}, filter_chains: [{{filters: [{proxy}], {of_listener}}}]}}]}}}}"
        )
    }
}
