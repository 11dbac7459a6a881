//! (envoy: config.bootstrap.v3.Admin)

use outrigger_policy::matcher::StringMatcher;
use outrigger_xds_api::envoy::config::bootstrap::v3::Admin as Message;

use crate::config::common::{Translated, address, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;
use crate::net::Address;

/// The admin server.
#[derive(Debug)]
pub struct AdminSpec {
    /// Where it listens.
    pub address: Address,
    /// Paths that are answered; all of them if there is none. (envoy: Admin.allow_paths)
    pub allowed_paths: Vec<StringMatcher>,
}

pub(super) fn admin(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<AdminSpec> {
    fields!(cx, at, message => Message {
        used: address, allow_paths;
        ignored:
            access_log = "requests to the admin server are not logged",
            access_log_path = "requests to the admin server are not logged",
            profile_path = "profiles are not written",
            ignore_global_conn_limit = "the admin server never counts for the limit";
        refused: socket_options = "a raw socket option";
    });
    let at_paths = at.field("allow_paths");
    let allowed_paths = allow_paths
        .into_iter()
        .enumerate()
        .map(|(index, message)| matcher::string(message, &at_paths.index(index), cx))
        .collect::<Result<_, _>>()?;
    let at = at.field("address");
    let address = self::address(required(address, &at)?, &at, cx)?;
    Ok(AdminSpec { address, allowed_paths })
}
