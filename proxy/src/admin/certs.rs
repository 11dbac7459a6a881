//! `/certs`: the certificates in use. (envoy: admin.v3.Certificates)

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Endpoint, Reply, Request, Server};
use crate::telemetry::access_log::rfc3339;
use crate::tls::{InUse, Shown};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/certs",
    is_post: false,
    help: "print certs on machine",
    parameters: &[],
    reply,
};

fn reply(server: &Server, _: &Request) -> Reply {
    let control = server.control.borrow();
    let certificates: Vec<Value> = control.certificates().iter().map(side).collect();
    Reply::json(&json!({ "certificates": certificates }))
}

fn side(in_use: &InUse) -> Value {
    let all = |shown: Vec<Shown>| shown.iter().map(details).collect::<Vec<_>>();
    json!({ "ca_cert": all(in_use.authorities()), "cert_chain": all(in_use.own()) })
}

fn details(shown: &Shown) -> Value {
    let names = shown.dns.iter().map(|name| json!({ "dns": &**name }));
    let uris = shown.uris.iter().map(|uri| json!({ "uri": &**uri }));
    let ips = shown.ips.iter().map(|ip| json!({ "ip_address": ip.to_string() }));
    json!({
        "path": &*shown.path,
        "serial_number": shown.serial,
        "subject_alt_names": names.chain(uris).chain(ips).collect::<Vec<_>>(),
        "days_until_expiration": days_until(shown.valid_until).to_string(),
        "valid_from": rfc3339(shown.valid_from),
        "expiration_time": rfc3339(shown.valid_until),
    })
}

fn days_until(seconds: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(seconds).unwrap_or(0).saturating_sub(now.as_secs()) / 86_400
}
