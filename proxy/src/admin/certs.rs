//! stub
use super::{Endpoint, Reply};
pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/certs",
    is_post: false,
    help: "print certs on machine",
    parameters: &[],
    reply: |_, _| Reply::text(200, String::new()),
};
