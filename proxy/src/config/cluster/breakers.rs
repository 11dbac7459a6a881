//! Limits of a cluster. (envoy: config.cluster.v3.CircuitBreakers)

use outrigger_policy::breaker::{RoutingPriority, Thresholds};
use outrigger_policy::retry::RetryBudget;
use outrigger_xds_api::envoy::config::cluster::v3::CircuitBreakers as Message;
use outrigger_xds_api::envoy::config::cluster::v3::circuit_breakers::Thresholds as ThresholdsMessage;
use outrigger_xds_api::envoy::config::cluster::v3::circuit_breakers::thresholds::RetryBudget as BudgetMessage;
use outrigger_xds_api::envoy::config::core::v3::RoutingPriority as PriorityMessage;
use outrigger_xds_api::google::protobuf::UInt32Value;

use super::PRIORITIES;
use crate::config::common::{Translated, enumeration, percent, u32_or};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;

/// (envoy: RetryBudget.budget_percent), in hundredths of a percent.
const BUDGET_PERCENT: u32 = 2000;
/// (envoy: RetryBudget.min_retry_concurrency)
const BUDGET_CONCURRENCY: u32 = 3;

/// The limits of both priorities.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub(super) default: Thresholds,
    pub(super) high: Thresholds,
    tracks_default: bool,
    tracks_high: bool,
}

impl Limits {
    /// Priorities that tell how much is left.
    pub(super) fn tracked(&self) -> Vec<RoutingPriority> {
        let tracks = [self.tracks_default, self.tracks_high];
        PRIORITIES.into_iter().zip(tracks).filter(|(_, is)| *is).map(|(p, _)| p).collect()
    }
}

/// Translates limits; of several entries for one priority the first holds, as in Envoy. A runtime value goes before.
pub(super) fn limits(
    message: Option<Message>,
    cluster: &str,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Limits> {
    let message = message.unwrap_or_default();
    fields!(cx, at, message => Message {
        used: thresholds;
        refused: per_host_thresholds = "a limit per host";
    });
    let at = at.field("thresholds");
    let mut entries = Vec::new();
    for (index, message) in thresholds.into_iter().enumerate() {
        let at = at.index(index);
        let priority = match enumeration(message.priority, &at.field("priority"))? {
            PriorityMessage::Default => RoutingPriority::Default,
            PriorityMessage::High => RoutingPriority::High,
        };
        let (limits, tracks) = threshold(message, &at, cx)?;
        if entries.iter().any(|(held, _, _)| *held == priority) {
            cx.note_ignored(&at, "an entry before it has the same priority");
        } else {
            entries.push((priority, limits, tracks));
        }
    }
    let of = |priority| {
        let entry = entries.iter().find(|(held, _, _)| *held == priority);
        let (limits, tracks) = entry.map(|(_, l, t)| (*l, *t)).unwrap_or_default();
        (with_runtime(limits, cluster, priority, cx), tracks)
    };
    let (default, tracks_default) = of(RoutingPriority::Default);
    let (high, tracks_high) = of(RoutingPriority::High);
    Ok(Limits { default, high, tracks_default, tracks_high })
}

fn threshold(
    message: ThresholdsMessage,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<(Thresholds, bool)> {
    fields!(cx, at, message => ThresholdsMessage {
        used: priority, max_connections, max_pending_requests, max_requests, max_retries,
            retry_budget, track_remaining;
        ignored: max_connection_pools = "there is one pool for each host and worker";
    });
    // The caller has looked.
    let _: i32 = priority;
    let or = |value: Option<UInt32Value>, default| u32_or(value, default);
    let defaults = Thresholds::default();
    let limits = Thresholds {
        max_connections: or(max_connections, defaults.max_connections),
        max_pending_requests: or(max_pending_requests, defaults.max_pending_requests),
        max_requests: or(max_requests, defaults.max_requests),
        max_retries: or(max_retries, defaults.max_retries),
        retry_budget: retry_budget
            .map(|message| budget(message, &at.field("retry_budget"), cx))
            .transpose()?,
    };
    Ok((limits, track_remaining))
}

fn budget(message: BudgetMessage, at: &At<'_>, cx: &Cx<'_>) -> Translated<RetryBudget> {
    fields!(cx, at, message => BudgetMessage {
        used: budget_percent, min_retry_concurrency;
        refused: budget_interval = "a budget over an interval";
    });
    let share = percent(budget_percent, BUDGET_PERCENT, &at.field("budget_percent"), cx)?;
    let least = u32_or(min_retry_concurrency, BUDGET_CONCURRENCY);
    Ok(RetryBudget::new(f64::from(share) / 100.0, least))
}

fn with_runtime(
    limits: Thresholds,
    cluster: &str,
    priority: RoutingPriority,
    cx: &Cx<'_>,
) -> Thresholds {
    let value = |name: &str, configured: u32| {
        let key = format!("circuit_breakers.{cluster}.{}.{name}", priority.as_str());
        cx.runtime.integer(&key).map_or(configured, |v| u32::try_from(v).unwrap_or(u32::MAX))
    };
    Thresholds {
        max_connections: value("max_connections", limits.max_connections),
        max_pending_requests: value("max_pending_requests", limits.max_pending_requests),
        max_requests: value("max_requests", limits.max_requests),
        max_retries: value("max_retries", limits.max_retries),
        retry_budget: limits.retry_budget,
    }
}
