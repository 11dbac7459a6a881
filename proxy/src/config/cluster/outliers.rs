//! When a host is an outlier. (envoy: config.cluster.v3.OutlierDetection)

use std::time::Duration;

use outrigger_policy::outlier::{Enforcing, OutlierPolicy};
use outrigger_xds_api::envoy::config::cluster::v3::OutlierDetection as Message;
use outrigger_xds_api::google::protobuf;

use crate::config::common::{Translated, bool_or, duration};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;

/// Reads values: the runtime's, else the message's, else the default.
struct Values<'a> {
    at: &'a At<'a>,
    cx: &'a Cx<'a>,
}

impl Values<'_> {
    fn runtime(&self, key: &str) -> Option<u64> {
        self.cx.runtime.integer(&format!("outlier_detection.{key}"))
    }

    fn number(&self, key: &str, value: Option<protobuf::UInt32Value>, default: u32) -> u32 {
        let configured = value.map_or(default, |value| value.value);
        self.runtime(key).map_or(configured, |v| u32::try_from(v).unwrap_or(u32::MAX))
    }

    /// A number up to 100.
    fn percent(
        &self,
        key: &str,
        value: Option<protobuf::UInt32Value>,
        default: u32,
    ) -> Translated<u32> {
        if value.is_some_and(|value| value.value > 100) {
            return Err(self.at.field(key).error("must be at most 100"));
        }
        Ok(self.number(key, value, default).min(100))
    }

    /// A time that is not zero.
    fn time(
        &self,
        key: &str,
        value: Option<protobuf::Duration>,
        default: Duration,
    ) -> Translated<Duration> {
        let at = self.at.field(key);
        let configured = duration(value, &at)?;
        if configured.is_some_and(|time| time.is_zero()) {
            return Err(at.error("must be greater than 0"));
        }
        Ok(self.millis(key).unwrap_or_else(|| configured.unwrap_or(default)))
    }

    fn millis(&self, key: &str) -> Option<Duration> {
        self.runtime(&format!("{key}_ms")).map(Duration::from_millis)
    }
}

/// Translates the detection.
#[expect(clippy::too_many_lines, reason = "each of 24 fields has a key, a value and a default")]
pub(super) fn policy(
    message: Option<Message>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Option<OutlierPolicy>> {
    let Some(message) = message else { return Ok(None) };
    fields!(cx, at, message => Message {
        used: consecutive_5xx, interval, base_ejection_time, max_ejection_percent,
            enforcing_consecutive_5xx, enforcing_success_rate, success_rate_minimum_hosts,
            success_rate_request_volume, success_rate_stdev_factor, consecutive_gateway_failure,
            enforcing_consecutive_gateway_failure, split_external_local_origin_errors,
            consecutive_local_origin_failure, enforcing_consecutive_local_origin_failure,
            enforcing_local_origin_success_rate, failure_percentage_threshold,
            enforcing_failure_percentage, enforcing_failure_percentage_local_origin,
            failure_percentage_minimum_hosts, failure_percentage_request_volume, max_ejection_time,
            max_ejection_time_jitter, successful_active_health_check_uneject_host,
            always_eject_one_host;
        refused:
            monitors = "a monitor of an extension",
            detect_degraded_hosts = "detection of degraded hosts";
    });
    let values = Values { at, cx };
    let number = |key, value, default| values.number(key, value, default);
    let percent = |key, value, default| values.percent(key, value, default);
    let OutlierPolicy { enforcing: enforced, .. } = OutlierPolicy::default();
    let defaults = OutlierPolicy::default();
    let base_ejection_time =
        values.time("base_ejection_time", base_ejection_time, defaults.base_ejection_time)?;
    let longest = OutlierPolicy::DEFAULT_MAX_EJECTION_TIME.max(base_ejection_time);
    let max_ejection_time = values.time("max_ejection_time", max_ejection_time, longest)?;
    if max_ejection_time < base_ejection_time {
        return Err(at.field("max_ejection_time").error("must be at least base_ejection_time"));
    }
    let jitter = duration(max_ejection_time_jitter, &at.field("max_ejection_time_jitter"))?;
    let jitter_ms = values.millis("max_ejection_time_jitter");
    Ok(Some(OutlierPolicy {
        consecutive_5xx: number("consecutive_5xx", consecutive_5xx, defaults.consecutive_5xx),
        consecutive_gateway_failure: number(
            "consecutive_gateway_failure",
            consecutive_gateway_failure,
            defaults.consecutive_gateway_failure,
        ),
        consecutive_local_origin_failure: number(
            "consecutive_local_origin_failure",
            consecutive_local_origin_failure,
            defaults.consecutive_local_origin_failure,
        ),
        splits_local_origin: split_external_local_origin_errors,
        enforcing: Enforcing {
            consecutive_5xx: percent(
                "enforcing_consecutive_5xx",
                enforcing_consecutive_5xx,
                enforced.consecutive_5xx,
            )?,
            consecutive_gateway_failure: percent(
                "enforcing_consecutive_gateway_failure",
                enforcing_consecutive_gateway_failure,
                enforced.consecutive_gateway_failure,
            )?,
            consecutive_local_origin_failure: percent(
                "enforcing_consecutive_local_origin_failure",
                enforcing_consecutive_local_origin_failure,
                enforced.consecutive_local_origin_failure,
            )?,
            success_rate: percent(
                "enforcing_success_rate",
                enforcing_success_rate,
                enforced.success_rate,
            )?,
            local_origin_success_rate: percent(
                "enforcing_local_origin_success_rate",
                enforcing_local_origin_success_rate,
                enforced.local_origin_success_rate,
            )?,
            failure_percentage: percent(
                "enforcing_failure_percentage",
                enforcing_failure_percentage,
                enforced.failure_percentage,
            )?,
            local_origin_failure_percentage: percent(
                "enforcing_failure_percentage_local_origin",
                enforcing_failure_percentage_local_origin,
                enforced.local_origin_failure_percentage,
            )?,
        },
        success_rate_minimum_hosts: number(
            "success_rate_minimum_hosts",
            success_rate_minimum_hosts,
            defaults.success_rate_minimum_hosts,
        ),
        success_rate_request_volume: number(
            "success_rate_request_volume",
            success_rate_request_volume,
            defaults.success_rate_request_volume,
        ),
        success_rate_stdev_factor: number(
            "success_rate_stdev_factor",
            success_rate_stdev_factor,
            defaults.success_rate_stdev_factor,
        ),
        failure_percentage_threshold: percent(
            "failure_percentage_threshold",
            failure_percentage_threshold,
            defaults.failure_percentage_threshold,
        )?,
        failure_percentage_minimum_hosts: number(
            "failure_percentage_minimum_hosts",
            failure_percentage_minimum_hosts,
            defaults.failure_percentage_minimum_hosts,
        ),
        failure_percentage_request_volume: number(
            "failure_percentage_request_volume",
            failure_percentage_request_volume,
            defaults.failure_percentage_request_volume,
        ),
        interval: values.time("interval", interval, defaults.interval)?,
        base_ejection_time,
        max_ejection_time,
        max_ejection_time_jitter: jitter_ms.or(jitter).unwrap_or(defaults.max_ejection_time_jitter),
        max_ejection_percent: percent(
            "max_ejection_percent",
            max_ejection_percent,
            defaults.max_ejection_percent,
        )?,
        always_eject_one_host: bool_or(always_eject_one_host, defaults.always_eject_one_host),
        check_unejects: bool_or(
            successful_active_health_check_uneject_host,
            defaults.check_unejects,
        ),
    }))
}
