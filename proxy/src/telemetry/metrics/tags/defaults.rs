//! Envoy's own tag rules, as far as they concern stats that this proxy has.
//! (envoy 1.40: Config::TagNameValues; each is confirmed by a name in `testdata/tags.tsv`)
//!
//! Left out are the rules for filters that we do not have (Mongo, Redis, Thrift, DynamoDB, UDP, DNS,
//! client TLS authentication, Google's gRPC client): no name of ours can match them.

/// Tag, expression, and a value that is no match. In the order in which Envoy tries them.
///
/// `<word>` stands for one word, `<owner>` for the beginning of a listener's or cluster's name.
pub(super) const REGEXES: &[(&str, &str, &str)] = &[
    ("envoy.response_code", r"_rq(_(\d{3}))$", ""),
    ("envoy.response_code_class", r"_rq_((\d))xx$", ""),
    ("envoy.ssl_cipher", r"^listener\..*?\.ssl\.ciphers(\.([\w-]+))$", ""),
    ("envoy.ssl_curve", r"^<owner>\.ssl\.curves(\.([\w-]+))$", ""),
    ("envoy.ssl_sigalg", r"^<owner>\.ssl\.sigalgs(\.([\w-]+))$", ""),
    ("envoy.ssl_version", r"^<owner>\.ssl\.versions(\.(TLSv\d\.\d))$", ""),
    ("envoy.tls_certificate", r"^<owner>\.ssl\.certificate(\.(<word>))\..+$", ""),
    ("cipher_suite", r"^cluster\.<word>\.ssl\.ciphers(\.([\w-]+))$", ""),
    ("envoy.http_conn_manager_prefix", r"^listener\..*?\.http\.((<word>)\.)", ""),
    (
        "envoy.worker_id",
        r"^(?:listener\.(?:<address>|<word>)|server|listener_manager)\.worker_((\d+)\.)",
        "",
    ),
    ("envoy.listener_address", r"^listener\.((<address>|<word>)\.)", "admin"),
    ("envoy.rds_route_config", r"^http\.<word>\.rds\.(([\w\-./]+)\.)\w+?$", ""),
    (
        "envoy.rbac_policy_name",
        r"^http\.<word>\.rbac\.(?:<word>\.)?policy\.((<word>)\.)(?:shadow_)?(?:allowed|denied)$",
        "",
    ),
    ("envoy.rbac_http_prefix", r"^http\.<word>\.rbac\.((<word>)\.)", "policy"),
    ("envoy.health_check_name", r"^cluster\.<word>\.health_check(\.name\.(<word>))\..+", ""),
    ("envoy.proxy_protocol_prefix", r"^proxy_proto\.((<word>)\.).+$", "versions"),
    ("envoy.proxy_protocol_version", r"^proxy_proto\.((?:<word>\.)?versions\.v(\d)\.)\w+$", ""),
    ("envoy.xds_resource_name", r"^sds\.((<word>)\.).+", ""),
];

/// Tag and pattern by words, tried after the expressions.
pub(super) const PATTERNS: &[(&str, &str)] = &[
    ("envoy.grpc_bridge_method", "cluster.*.grpc.*.$.**"),
    ("envoy.http_user_agent", "http.*.user_agent.$.**"),
    ("envoy.virtual_cluster", "vhost.*.vcluster.$.**"),
    ("envoy.fault_downstream_cluster", "http.*.fault.$.**"),
    ("envoy.grpc_bridge_service", "cluster.*.grpc.$.**"),
    ("envoy.tcp_prefix", "tcp.$.**"),
    ("envoy.ratelimit_prefix", "ratelimit.$.**"),
    ("envoy.cluster_name", "cluster.$.**"),
    ("envoy.ext_authz_prefix", "cluster.*.ext_authz.$.**"),
    ("envoy.ext_authz_prefix", "http.*.ext_authz.$.**"),
    ("envoy.http_conn_manager_prefix", "http.$.**"),
    ("envoy.virtual_host", "vhost.$.**"),
    ("envoy.route", "vhost.*.route.$.**"),
    ("envoy.rbac_prefix", "$.rbac.**"),
    ("envoy.local_http_ratelimit_prefix", "$.http_local_rate_limit.**"),
    ("envoy.local_network_ratelimit_prefix", "local_rate_limit.$.**"),
    ("envoy.local_listener_ratelimit_prefix", "listener_local_ratelimit.$.**"),
    ("envoy.connection_limit_prefix", "connection_limit.$.**"),
];

/// `pattern` with its shorthands written out.
pub(super) fn expand(pattern: &str) -> String {
    pattern
        .replace("<owner>", r"(?:listener|cluster)\..*?")
        .replace("<word>", r"[^.]+")
        .replace("<address>", r"(?:(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[[a-fA-F_\d]+\])_\d+)")
}
