//! `/hot_restart_version`: there is no hot restart.

use super::{Endpoint, Reply};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/hot_restart_version",
    is_post: false,
    help: "print the hot restart compatibility version",
    parameters: &[],
    reply: |_, _| Reply::text(200, "disabled".to_owned()),
};
