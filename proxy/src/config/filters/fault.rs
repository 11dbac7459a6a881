//! Injected faults, of a connection manager's filter or of a route. (envoy: extensions.filters.http.fault.v3)

use outrigger_policy::bulkhead::Bulkhead;
use outrigger_policy::fault::{ABORT_BODY, Abort, AbortStatus, AbortWith, Delay, DelayBy, Fault};
use outrigger_policy::fraction::{Denominator, Fraction};
use outrigger_xds_api::envoy::extensions::filters::common::fault::v3::FaultDelay;
use outrigger_xds_api::envoy::extensions::filters::common::fault::v3::fault_delay::{
    FaultDelaySecifier, HeaderDelay,
};
use outrigger_xds_api::envoy::extensions::filters::http::fault::v3::fault_abort::{
    ErrorType, HeaderAbort,
};
use outrigger_xds_api::envoy::extensions::filters::http::fault::v3::{FaultAbort, HttpFault};
use outrigger_xds_api::envoy::r#type::v3::FractionalPercent;

use crate::config::common::{self, Translated, duration, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;
use crate::http::filters::FaultFilter;

/// The filter; `scope` is the connection manager's.
pub(super) fn filter(
    message: HttpFault,
    at: &At<'_>,
    cx: &Cx<'_>,
    scope: &str,
) -> Translated<FaultFilter> {
    Ok(FaultFilter {
        fault: fault(message, at, cx)?,
        active: Bulkhead::new(u32::MAX),
        stats: cx.registry.stats(&format!("{scope}fault.")),
    })
}

/// (envoy: extensions.filters.http.fault.v3.HTTPFault)
pub(in crate::config) fn fault(message: HttpFault, at: &At<'_>, cx: &Cx<'_>) -> Translated<Fault> {
    fields!(cx, at, message => HttpFault {
        used: delay, abort, upstream_cluster, headers, downstream_nodes, max_active_faults;
        ignored:
            delay_percent_runtime = "runtime keys cannot be changed while the proxy runs",
            abort_percent_runtime = "runtime keys cannot be changed while the proxy runs",
            delay_duration_runtime = "runtime keys cannot be changed while the proxy runs",
            abort_http_status_runtime = "runtime keys cannot be changed while the proxy runs",
            max_active_faults_runtime = "runtime keys cannot be changed while the proxy runs",
            response_rate_limit_percent_runtime = "runtime keys cannot be changed while the proxy runs",
            abort_grpc_status_runtime = "runtime keys cannot be changed while the proxy runs",
            disable_downstream_cluster_stats = "faults are not counted for each downstream cluster";
        refused:
            response_rate_limit = "a slow response",
            filter_metadata = "metadata about a fault";
    });
    Ok(Fault {
        delay: delay.map(|message| self::delay(message, &at.field("delay"), cx)).transpose()?,
        abort: abort.map(|message| self::abort(message, &at.field("abort"), cx)).transpose()?,
        upstream_cluster: Some(upstream_cluster.into_boxed_str()).filter(|name| !name.is_empty()),
        headers: matcher::headers(headers, &at.field("headers"), cx)?,
        downstream_nodes: downstream_nodes.into_iter().map(String::into_boxed_str).collect(),
        max_active_faults: max_active_faults.map(|limit| limit.value),
    })
}

fn delay(message: FaultDelay, at: &At<'_>, cx: &Cx<'_>) -> Translated<Delay> {
    fields!(cx, at, message => FaultDelay { used: percentage, fault_delay_secifier; });
    let by = match required(fault_delay_secifier, &at.field("fixed_delay"))? {
        FaultDelaySecifier::FixedDelay(message) => {
            let at = at.field("fixed_delay");
            match duration(Some(message), &at)?.filter(|delay| !delay.is_zero()) {
                Some(delay) => DelayBy::Fixed(delay),
                None => return Err(at.error("must be greater than 0")),
            }
        }
        FaultDelaySecifier::HeaderDelay(message) => {
            fields!(cx, at, message => HeaderDelay {});
            DelayBy::Header
        }
    };
    Ok(Delay { by, percentage: share(percentage, &at.field("percentage"), cx)? })
}

fn abort(message: FaultAbort, at: &At<'_>, cx: &Cx<'_>) -> Translated<Abort> {
    fields!(cx, at, message => FaultAbort { used: percentage, response_body, error_type; });
    let with = match required(error_type, &at.field("http_status"))? {
        ErrorType::HttpStatus(status) => match u16::try_from(status) {
            Ok(status @ 200..600) => AbortWith::Status(AbortStatus::Http(status)),
            _ => return Err(at.field("http_status").error("must be at least 200 and below 600")),
        },
        ErrorType::GrpcStatus(status) => AbortWith::Status(AbortStatus::Grpc(status)),
        ErrorType::HeaderAbort(message) => {
            fields!(cx, at, message => HeaderAbort {});
            AbortWith::Header
        }
    };
    let percentage = share(percentage, &at.field("percentage"), cx)?;
    let body = if response_body.is_empty() { ABORT_BODY.into() } else { response_body.into() };
    Ok(Abort { with, percentage, body })
}

/// A share of requests; unset, it is none of them.
fn share(message: Option<FractionalPercent>, at: &At<'_>, cx: &Cx<'_>) -> Translated<Fraction> {
    match message {
        Some(message) => common::fraction(message, at, cx),
        None => Ok(Fraction::new(0, Denominator::Hundred)),
    }
}
