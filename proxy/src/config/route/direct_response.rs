//! An answer of the proxy's own. (envoy: config.route.v3.DirectResponseAction)

use outrigger_policy::route::{DirectResponse, DirectResponseError};
use outrigger_xds_api::envoy::config::route::v3::DirectResponseAction;

use crate::config::common::{Translated, data_source};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;

pub(super) fn direct_response(
    message: DirectResponseAction,
    limit_bytes: u32,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<DirectResponse> {
    fields!(cx, at, message => DirectResponseAction {
        used: status, body;
        refused: body_format = "a body made by a format";
    });
    let body = match body {
        Some(message) => data_source(message, &at.field("body"), cx)?,
        None => Vec::new(),
    };
    DirectResponse::new(status, body, limit_bytes).map_err(|error| match error {
        DirectResponseError::Status(_) => at.field("status").error(error),
        DirectResponseError::Body { .. } => at.field("body").error(error),
    })
}
