//! `/causes`: why requests and connections failed, and what each was about. Of ours: Envoy tells that only where it is logged.

use std::time::UNIX_EPOCH;

use serde_json::json;

use super::{Endpoint, Reply, Request, Server};
use crate::telemetry::access_log::rfc3339;
use crate::telemetry::causes::{self, Remembered};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/causes",
    is_post: false,
    help: "print why requests failed, the most frequent first",
    parameters: &[],
    reply: |_: &Server, _: &Request| reply(),
};

fn reply() -> Reply {
    let shown =
        causes::remembered().into_iter().map(|Remembered { code, subject, count, last }| {
            let last = last.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let last = rfc3339(i64::try_from(last).unwrap_or_default());
            json!({ "cause": code, "subject": *subject, "count": count, "last": last })
        });
    Reply::json(&json!({ "causes": shown.collect::<Vec<_>>() }))
}
