//! Outlier detection: which hosts of a cluster are left out because of how they answer.
//!
//! Workers report every outcome to the host's [`HostMonitor`], which only counts; what it detects they
//! pass on to the cluster's [`Detector`] on the control side, which decides about ejections, with the
//! sweep of every interval. The caller rebuilds the balancer when an [`Event`] changes a host, and tells
//! the time: nothing here has a clock or a timer. Deliberately absent: monitors of extensions.
//! (envoy: config.cluster.v3.OutlierDetection, docs `arch_overview/upstream/outlier`)

mod detector;
mod host;
mod monitor;
mod rate;
mod stats;
#[cfg(test)]
mod tests;

pub use self::detector::{Action, Detector, Event};
pub use self::monitor::{Detected, HostMonitor};
pub use self::rate::Spread;
pub use self::stats::Stats;

use std::time::Duration;

use crate::head::ResponseHead;

/// When a host is an outlier, and what follows. Percentages are 0 to 100.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierPolicy {
    /// `consecutive_5xx`; 0 for never.
    pub consecutive_5xx: u32,
    /// `consecutive_gateway_failure`; 0 for never.
    pub consecutive_gateway_failure: u32,
    /// `consecutive_local_origin_failure`; 0 for never.
    pub consecutive_local_origin_failure: u32,
    /// `split_external_local_origin_errors`: failures to connect count apart from bad answers.
    pub splits_local_origin: bool,
    /// `enforcing_…`: how often a detection ejects.
    pub enforcing: Enforcing,
    /// `success_rate_minimum_hosts`, with
    pub success_rate_minimum_hosts: u32,
    /// `success_rate_request_volume` in an interval each.
    pub success_rate_request_volume: u32,
    /// `success_rate_stdev_factor`: thousandths of the standard deviation under the mean.
    pub success_rate_stdev_factor: u32,
    /// `failure_percentage_threshold`
    pub failure_percentage_threshold: u32,
    /// `failure_percentage_minimum_hosts`, with
    pub failure_percentage_minimum_hosts: u32,
    /// `failure_percentage_request_volume` in an interval each.
    pub failure_percentage_request_volume: u32,
    /// `interval` between sweeps.
    pub interval: Duration,
    /// `base_ejection_time`, times how often the host was ejected lately.
    pub base_ejection_time: Duration,
    /// `max_ejection_time`
    pub max_ejection_time: Duration,
    /// `max_ejection_time_jitter`, added at random.
    pub max_ejection_time_jitter: Duration,
    /// `max_ejection_percent` of the cluster's hosts.
    pub max_ejection_percent: u32,
    /// `always_eject_one_host`, whatever the percentage.
    pub always_eject_one_host: bool,
    /// `successful_active_health_check_uneject_host`
    pub check_unejects: bool,
}

/// Percentage of detections of each kind that eject. (envoy: OutlierDetection.enforcing_*)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforcing {
    /// `enforcing_consecutive_5xx`
    pub consecutive_5xx: u32,
    /// `enforcing_consecutive_gateway_failure`
    pub consecutive_gateway_failure: u32,
    /// `enforcing_consecutive_local_origin_failure`
    pub consecutive_local_origin_failure: u32,
    /// `enforcing_success_rate`
    pub success_rate: u32,
    /// `enforcing_local_origin_success_rate`
    pub local_origin_success_rate: u32,
    /// `enforcing_failure_percentage`
    pub failure_percentage: u32,
    /// `enforcing_failure_percentage_local_origin`
    pub local_origin_failure_percentage: u32,
}

impl OutlierPolicy {
    /// Default of `max_ejection_time`, unless `base_ejection_time` is longer.
    pub const DEFAULT_MAX_EJECTION_TIME: Duration = Duration::from_secs(300);
}

impl Default for OutlierPolicy {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 5,
            consecutive_local_origin_failure: 5,
            splits_local_origin: false,
            enforcing: Enforcing::default(),
            success_rate_minimum_hosts: 5,
            success_rate_request_volume: 100,
            success_rate_stdev_factor: 1900,
            failure_percentage_threshold: 85,
            failure_percentage_minimum_hosts: 5,
            failure_percentage_request_volume: 50,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Self::DEFAULT_MAX_EJECTION_TIME,
            max_ejection_time_jitter: Duration::ZERO,
            max_ejection_percent: 10,
            always_eject_one_host: false,
            check_unejects: true,
        }
    }
}

impl Default for Enforcing {
    fn default() -> Self {
        Self {
            consecutive_5xx: 100,
            consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: 100,
            success_rate: 100,
            local_origin_success_rate: 100,
            failure_percentage: 0,
            local_origin_failure_percentage: 0,
        }
    }
}

/// Why a host is an outlier. (envoy: data.cluster.v3.OutlierEjectionType)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outlier {
    /// Answers of 500 to 599 in a row.
    Consecutive5xx,
    /// Answers of 502 to 504 in a row.
    ConsecutiveGatewayFailure,
    /// Failures to connect in a row, if they count apart.
    ConsecutiveLocalOriginFailure,
    /// Fewer good answers than most.
    SuccessRate,
    /// Fewer good connections than most.
    LocalOriginSuccessRate,
    /// Too many bad answers.
    FailurePercentage,
    /// Too many bad connections.
    LocalOriginFailurePercentage,
}

impl Outlier {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Consecutive5xx,
        Self::ConsecutiveGatewayFailure,
        Self::ConsecutiveLocalOriginFailure,
        Self::SuccessRate,
        Self::LocalOriginSuccessRate,
        Self::FailurePercentage,
        Self::LocalOriginFailurePercentage,
    ];

    /// As in names of statistics: `outlier_detection.ejections_detected_<this>`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive_5xx",
            Self::ConsecutiveGatewayFailure => "consecutive_gateway_failure",
            Self::ConsecutiveLocalOriginFailure => "consecutive_local_origin_failure",
            Self::SuccessRate => "success_rate",
            Self::LocalOriginSuccessRate => "local_origin_success_rate",
            Self::FailurePercentage => "failure_percentage",
            Self::LocalOriginFailurePercentage => "local_origin_failure_percentage",
        }
    }
}

impl Enforcing {
    const fn percent(&self, outlier: Outlier) -> u32 {
        match outlier {
            Outlier::Consecutive5xx => self.consecutive_5xx,
            Outlier::ConsecutiveGatewayFailure => self.consecutive_gateway_failure,
            Outlier::ConsecutiveLocalOriginFailure => self.consecutive_local_origin_failure,
            Outlier::SuccessRate => self.success_rate,
            Outlier::LocalOriginSuccessRate => self.local_origin_success_rate,
            Outlier::FailurePercentage => self.failure_percentage,
            Outlier::LocalOriginFailurePercentage => self.local_origin_failure_percentage,
        }
    }
}

/// What came of using a host. A request that a circuit breaker refused is not reported: the host had no
/// part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It answered, with this HTTP status.
    Answered(u16),
    /// An attempt got a connection, new or not, and will be reported again.
    Connected,
    /// A connection came up of which nothing more will be heard: a plain TCP stream.
    ConnectedForGood,
    /// No connection came up, or the attempt was cut off before the answer, by whichever side.
    Failed,
    /// It did not answer in time.
    TimedOut,
}

impl Report {
    /// The report of a response: gRPC requests are judged by `grpc-status` if it is in the headers.
    #[must_use]
    pub fn of(response: &ResponseHead, is_grpc_request: bool) -> Self {
        let grpc_status = response.grpc_status().filter(|_| is_grpc_request);
        Self::Answered(grpc_status.map_or(response.status, http_status))
    }
}

/// HTTP's word for a status of gRPC. (envoy: Grpc::Utility::grpcToHttpStatus)
const fn http_status(grpc: u32) -> u16 {
    match grpc {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        // Unknown, internal, data loss, and numbers that gRPC does not know.
        _ => 500,
    }
}
