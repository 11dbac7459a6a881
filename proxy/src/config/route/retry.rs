//! Retries. (envoy: config.route.v3.RetryPolicy)

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use outrigger_policy::retry::{
    BackOff, Conditions, Family, RateLimitedBackOff, ResetFormat, RetryPolicy,
};
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::route::v3::RetryPolicy as Message;
use outrigger_xds_api::envoy::config::route::v3::retry_policy::retry_host_predicate::ConfigType;
use outrigger_xds_api::envoy::config::route::v3::retry_policy::retry_priority::ConfigType as PriorityConfig;
use outrigger_xds_api::envoy::config::route::v3::retry_policy::{
    RateLimitedRetryBackOff, ResetHeader, ResetHeaderFormat, RetryBackOff, RetryHostPredicate,
    RetryPriority,
};
use outrigger_xds_api::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use outrigger_xds_api::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;
use outrigger_xds_api::google::protobuf;

use super::timeouts::millis;
use crate::config::common::{Translated, decode, enumeration, non_empty, required, u32_or};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher::{self, header_name};

/// Longest wait that a rate-limited upstream may ask for. (envoy: RateLimitedRetryBackOff.max_interval)
const MAX_RESET_MS: u64 = 300_000;

/// No response has a status beyond.
const MAX_STATUS: u32 = 999;

/// Retries of a route, and the timeouts that their message sets.
#[derive(Clone, Default)]
pub(super) struct Retries {
    pub(super) policy: Arc<RetryPolicy>,
    pub(super) per_try_timeout_ms: u64,
    pub(super) per_try_idle_timeout_ms: u64,
}

pub(super) fn retries(
    message: Option<Message>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Option<Retries>> {
    let Some(message) = message else { return Ok(None) };
    fields!(cx, at, message => Message {
        used: retry_on, num_retries, per_try_timeout, per_try_idle_timeout, retry_host_predicate,
            host_selection_retry_max_attempts, retriable_status_codes, retry_back_off,
            rate_limited_retry_back_off, retry_priority, retriable_headers, retriable_request_headers;
        refused:
            retry_options_predicates = "another kind of retries",
            refresh_cluster_on_retry = "another cluster for retries";
    });
    let rate_limited_at = at.field("rate_limited_retry_back_off");
    let policy = RetryPolicy {
        retry_on: conditions(&retry_on, &at.field("retry_on"), cx),
        num_retries: u32_or(num_retries, 1),
        retriable_status_codes: status_codes(retriable_status_codes),
        retriable_headers: matcher::headers(retriable_headers, &at.field("retriable_headers"), cx)?
            .into(),
        retriable_request_headers: matcher::headers(
            retriable_request_headers,
            &at.field("retriable_request_headers"),
            cx,
        )?
        .into(),
        back_off: match retry_back_off {
            Some(message) => back_off(message, &at.field("retry_back_off"), cx)?,
            None => BackOff::default(),
        },
        rate_limited_back_off: rate_limited_retry_back_off
            .map(|message| rate_limited(message, &rate_limited_at, cx))
            .transpose()?,
        avoids_previous_hosts: avoids_previous(
            retry_host_predicate,
            &at.field("retry_host_predicate"),
            cx,
        )?,
        leaves_priorities_after: match retry_priority {
            Some(message) => Some(leaves_after(message, &at.field("retry_priority"), cx)?),
            None => None,
        },
        // The load balancer has a limit of its own; zero is unset.
        host_selection_attempts: match host_selection_retry_max_attempts {
            ..=0 => 1,
            attempts => u32::try_from(attempts).unwrap_or(u32::MAX),
        },
    };
    let per_try = millis(per_try_timeout, &at.field("per_try_timeout"))?;
    let per_try_idle = millis(per_try_idle_timeout, &at.field("per_try_idle_timeout"))?;
    Ok(Some(Retries {
        policy: Arc::new(policy),
        per_try_timeout_ms: per_try.unwrap_or(0),
        per_try_idle_timeout_ms: per_try_idle.unwrap_or(0),
    }))
}

/// Unknown conditions are passed over, as in Envoy, but not silently.
fn conditions(list: &str, at: &At<'_>, cx: &Cx<'_>) -> Conditions {
    let is_known = |name: &str| {
        [Family::Http, Family::Grpc]
            .into_iter()
            .any(|family| Conditions::parse(name.as_bytes(), family).1)
    };
    if !list.split(',').all(is_known) {
        cx.note_ignored(at, "a condition is not known");
    }
    Conditions::configured(list.as_bytes())
}

/// Each code once, so that a list of any length is searched quickly.
fn status_codes(codes: Vec<u32>) -> Box<[u16]> {
    let possible = codes.into_iter().filter(|code| *code <= MAX_STATUS);
    let once: BTreeSet<u16> = possible.filter_map(|code| u16::try_from(code).ok()).collect();
    once.into_iter().collect()
}

/// Whole milliseconds of an interval that is not zero, at least one: Envoy rounds what is less.
fn interval(value: Option<protobuf::Duration>, at: &At<'_>) -> Translated<Option<Duration>> {
    if value.as_ref().is_some_and(|value| value.seconds == 0 && value.nanos == 0) {
        return Err(at.error("must be greater than 0"));
    }
    Ok(millis(value, at)?.map(|ms| Duration::from_millis(ms.max(1))))
}

fn back_off(message: RetryBackOff, at: &At<'_>, cx: &Cx<'_>) -> Translated<BackOff> {
    fields!(cx, at, message => RetryBackOff { used: base_interval, max_interval; });
    let (at_base, at_max) = (at.field("base_interval"), at.field("max_interval"));
    let base = required(interval(base_interval, &at_base)?, &at_base)?;
    let max = interval(max_interval, &at_max)?;
    if max.is_some_and(|max| max < base) {
        return Err(at_max.error("must be at least base_interval"));
    }
    Ok(BackOff::new(base, max))
}

fn rate_limited(
    message: RateLimitedRetryBackOff,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<RateLimitedBackOff> {
    fields!(cx, at, message => RateLimitedRetryBackOff { used: reset_headers, max_interval; });
    let at_headers = at.field("reset_headers");
    if reset_headers.is_empty() {
        return Err(at_headers.error("must not be empty"));
    }
    let header = |(index, message)| {
        let at = at_headers.index(index);
        fields!(cx, at, message => ResetHeader { used: name, format; });
        let format = match enumeration(format, &at.field("format"))? {
            ResetHeaderFormat::Seconds => ResetFormat::Seconds,
            ResetHeaderFormat::UnixTimestamp => ResetFormat::UnixTimestamp,
        };
        Ok((header_name(&name, &at.field("name"))?, format))
    };
    let max_interval = interval(max_interval, &at.field("max_interval"))?;
    Ok(RateLimitedBackOff {
        reset_headers: reset_headers
            .into_iter()
            .enumerate()
            .map(header)
            .collect::<Result<_, _>>()?,
        max_interval: max_interval.unwrap_or(Duration::from_millis(MAX_RESET_MS)),
    })
}

/// True if the list holds the one predicate that there is.
/// (envoy: extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate)
fn avoids_previous(
    messages: Vec<RetryHostPredicate>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<bool> {
    let is_any = !messages.is_empty();
    for (index, message) in messages.into_iter().enumerate() {
        let at = at.index(index);
        fields!(cx, at, message => RetryHostPredicate { used: name, config_type; });
        non_empty(name, &at.field("name"))?;
        let at = at.field("typed_config");
        let ConfigType::TypedConfig(config) = required(config_type, &at)?;
        if any::type_name(&config.type_url) != Some(PREVIOUS_HOSTS) {
            return Err(at.unsupported(format_args!("the predicate '{}'", config.type_url)));
        }
        let message: PreviousHostsPredicate = decode(&config, &at)?;
        fields!(cx, at, message => PreviousHostsPredicate {});
    }
    Ok(is_any)
}

/// After how many attempts priorities that were tried are left, by the one way that there is.
/// (envoy: extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig)
fn leaves_after(message: RetryPriority, at: &At<'_>, cx: &Cx<'_>) -> Translated<NonZeroU32> {
    fields!(cx, at, message => RetryPriority { used: name, config_type; });
    non_empty(name, &at.field("name"))?;
    let at = at.field("typed_config");
    let PriorityConfig::TypedConfig(config) = required(config_type, &at)?;
    if any::type_name(&config.type_url) != Some(PREVIOUS_PRIORITIES) {
        return Err(at.unsupported(format_args!("the priority '{}'", config.type_url)));
    }
    let message: PreviousPrioritiesConfig = decode(&config, &at)?;
    fields!(cx, at, message => PreviousPrioritiesConfig { used: update_frequency; });
    let at = at.field("update_frequency");
    let count = u32::try_from(update_frequency).ok().and_then(NonZeroU32::new);
    count.ok_or_else(|| at.error("must be greater than 0"))
}

const PREVIOUS_PRIORITIES: &str =
    "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig";
const PREVIOUS_HOSTS: &str = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
