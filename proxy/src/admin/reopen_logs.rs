//! `/reopen_logs`: opens log files anew, after they were moved away.

use super::{Endpoint, Reply, Request, Server};
use crate::telemetry::{access_log, log};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/reopen_logs",
    is_post: true,
    help: "reopen access logs",
    parameters: &[],
    reply,
};

fn reply(_: &Server, _: &Request) -> Reply {
    access_log::reopen();
    match log::reopen() {
        Ok(()) => Reply::ok(),
        Err(error) => Reply::text(500, format!("the log cannot be reopened: {error}\n")),
    }
}
