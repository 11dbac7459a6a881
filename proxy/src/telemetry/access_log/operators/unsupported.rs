//! Operators of Envoy's that we do not have: a format that uses one is refused, so that no line says less than it was meant to.

use super::Row;

const FILTER_STATE: &str = "filter state";
const WIRE_BYTES: &str = "bytes on the wire are not counted per stream";
const CLOSING: &str = "who closed a connection is not noted";
const ATTEMPTED: &str = "the hosts of earlier attempts are not kept";
const INTERNAL: &str = "internal addresses";
const TLS_SESSION: &str = "TLS session ids";
const TLS_GROUP: &str = "groups of TLS key exchanges";
const LOCAL_NAMES: &str = "names of our own certificate other than URIs";
const UPSTREAM_TLS: &str = "TLS of connections to hosts";
const OTHER_NAMES: &str = "subject alternative names of type otherName";
const TLS_FINGERPRINT: &str = "fingerprints of TLS clients";
const ROUTE_RESOLUTION: &str = "route look-ups are not timed";

pub(super) const ROWS: &[Row] = &[
    Row::refused("CEL", "CEL expressions"),
    Row::refused("UPSTREAM_METADATA", "metadata of hosts"),
    Row::refused("FILTER_STATE", FILTER_STATE),
    Row::refused("UPSTREAM_FILTER_STATE", FILTER_STATE),
    Row::refused("VIRTUAL_CLUSTER_NAME", "virtual clusters"),
    Row::refused("ROUTE_RESOLUTION_COUNT", ROUTE_RESOLUTION),
    Row::refused("ROUTE_RESOLUTION_TIME_US", ROUTE_RESOLUTION),
    Row::refused("TLS_JA3_FINGERPRINT", TLS_FINGERPRINT),
    Row::refused("TLS_JA4_FINGERPRINT", TLS_FINGERPRINT),
    Row::refused("DOWNSTREAM_CX_RTT", "round trips are not measured"),
    Row::refused("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", WIRE_BYTES),
    Row::refused("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", WIRE_BYTES),
    Row::refused("DOWNSTREAM_HEADER_BYTES_RECEIVED", WIRE_BYTES),
    Row::refused("DOWNSTREAM_HEADER_BYTES_SENT", WIRE_BYTES),
    Row::refused("DOWNSTREAM_WIRE_BYTES_RECEIVED", WIRE_BYTES),
    Row::refused("DOWNSTREAM_WIRE_BYTES_SENT", WIRE_BYTES),
    Row::refused("UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", WIRE_BYTES),
    Row::refused("UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", WIRE_BYTES),
    Row::refused("UPSTREAM_HEADER_BYTES_RECEIVED", WIRE_BYTES),
    Row::refused("UPSTREAM_HEADER_BYTES_SENT", WIRE_BYTES),
    Row::refused("UPSTREAM_WIRE_BYTES_RECEIVED", WIRE_BYTES),
    Row::refused("UPSTREAM_WIRE_BYTES_SENT", WIRE_BYTES),
    Row::refused("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", INTERNAL),
    Row::refused("DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", INTERNAL),
    Row::refused("UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", INTERNAL),
    Row::refused("DOWNSTREAM_DETECTED_CLOSE_TYPE", CLOSING),
    Row::refused("DOWNSTREAM_LOCAL_CLOSE_REASON", CLOSING),
    Row::refused("UPSTREAM_DETECTED_CLOSE_TYPE", CLOSING),
    Row::refused("UPSTREAM_LOCAL_CLOSE_REASON", CLOSING),
    Row::refused("DOWNSTREAM_LOCAL_OTHERNAME_SAN", OTHER_NAMES),
    Row::refused("DOWNSTREAM_PEER_OTHERNAME_SAN", OTHER_NAMES),
    Row::refused("DOWNSTREAM_TLS_SESSION_ID", TLS_SESSION),
    Row::refused("UPSTREAM_TLS_SESSION_ID", TLS_SESSION),
    Row::refused("DOWNSTREAM_LOCAL_EMAIL_SAN", LOCAL_NAMES),
    Row::refused("DOWNSTREAM_TLS_GROUP", TLS_GROUP),
    Row::refused("UPSTREAM_TLS_GROUP", TLS_GROUP),
    Row::refused("UPSTREAM_TLS_VERSION", UPSTREAM_TLS),
    Row::refused("UPSTREAM_TLS_CIPHER", UPSTREAM_TLS),
    Row::refused("UPSTREAM_LOCAL_DNS_SAN", UPSTREAM_TLS),
    Row::refused("UPSTREAM_LOCAL_IP_SAN", UPSTREAM_TLS),
    Row::refused("UPSTREAM_LOCAL_URI_SAN", UPSTREAM_TLS),
    Row::refused("UPSTREAM_PEER_CERT", UPSTREAM_TLS),
    Row::refused("UPSTREAM_PEER_CERT_V_START", UPSTREAM_TLS),
    Row::refused("UPSTREAM_PEER_CERT_V_END", UPSTREAM_TLS),
    Row::refused("UPSTREAM_PEER_DNS_SAN", UPSTREAM_TLS),
    Row::refused("UPSTREAM_PEER_IP_SAN", UPSTREAM_TLS),
    Row::refused("UPSTREAM_PEER_URI_SAN", UPSTREAM_TLS),
    Row::refused("UPSTREAM_PEER_ISSUER", UPSTREAM_TLS),
    Row::refused("UPSTREAM_PEER_SUBJECT", UPSTREAM_TLS),
    Row::refused("UPSTREAM_CONNECTION_IDS_ATTEMPTED", ATTEMPTED),
    Row::refused("UPSTREAM_CONNECTION_POOL_READY_DURATION", "waits for a pool are not timed"),
    Row::refused("UPSTREAM_HOSTS_ATTEMPTED", ATTEMPTED),
    Row::refused("UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", ATTEMPTED),
    Row::refused("UPSTREAM_HOST_NAMES_ATTEMPTED", ATTEMPTED),
    Row::refused("UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", ATTEMPTED),
    Row::refused("UPSTREAM_CONNECTION_ID", "connections to hosts have no ids"),
    Row::refused("UPSTREAM_SERVER_NAME", "the server name sent to a host is not noted"),
    // Formatters that the configuration would have to name are refused with it.
    Row::refused("FILE_CONTENT", "files in lines"),
    Row::refused("SECRET", "secrets in lines"),
];
