//! The compiled retry policy of a route.

use std::num::NonZeroU32;

use super::backoff::{BackOff, RateLimitedBackOff};
use super::conditions::{Conditions, Family};
use super::state::{FromHeaders, RetryState};
use crate::head::{Headers, Id, Name, RequestHead, integer, tokens};
use crate::matcher::HeaderMatcher;

/// What a route says about retries. A route's policy replaces that of its virtual host; a route
/// without any has the default, since headers of a request may still ask for retries.
/// (envoy: config.route.v3.RetryPolicy)
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// `retry_on`
    pub retry_on: Conditions,
    /// `num_retries`
    pub num_retries: u32,
    /// `retriable_status_codes`
    pub retriable_status_codes: Box<[u16]>,
    /// `retriable_headers`: of a response, one match is enough.
    pub retriable_headers: Box<[HeaderMatcher]>,
    /// `retriable_request_headers`: unless there are none, only requests that match one are retried.
    pub retriable_request_headers: Box<[HeaderMatcher]>,
    /// `retry_back_off`
    pub back_off: BackOff,
    /// `rate_limited_retry_back_off`
    pub rate_limited_back_off: Option<RateLimitedBackOff>,
    /// `retry_host_predicate` holds `envoy.retry_host_predicates.previous_hosts`.
    pub avoids_previous_hosts: bool,
    /// After each such number of attempts the priorities of the hosts that were tried get no more.
    /// (envoy: extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig.update_frequency)
    pub leaves_priorities_after: Option<NonZeroU32>,
    /// `host_selection_retry_max_attempts`
    pub host_selection_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retry_on: Conditions::NONE,
            num_retries: 1,
            retriable_status_codes: Box::default(),
            retriable_headers: Box::default(),
            retriable_request_headers: Box::default(),
            back_off: BackOff::default(),
            rate_limited_back_off: None,
            avoids_previous_hosts: false,
            leaves_priorities_after: None,
            host_selection_attempts: 1,
        }
    }
}

impl RetryPolicy {
    /// The state of retries of one request, or `None` if nothing would be retried.
    ///
    /// Merges the `x-envoy-retry-*` headers into the policy and takes them off the request: they are
    /// for this proxy, not for the upstream. Headers of an untrusted client were removed before, and
    /// [`crate::timeout::TimeoutPolicy::resolve`] has read the timeout of an attempt.
    pub fn begin(&self, head: &mut RequestHead) -> Option<RetryState> {
        let (mut asks, mut is_early_data) = (false, false);
        for id in head.headers.ids() {
            asks |= is_retry_header(id);
            is_early_data |= id == Id::EARLY_DATA;
        }
        if !asks {
            let may_retry = !self.retry_on.is_empty() && self.admits(head);
            let (conditions, retries) = (self.retry_on, self.num_retries);
            return may_retry.then(|| RetryState::new(conditions, retries, is_early_data, None));
        }
        let state = self.merge(head, is_early_data);
        head.headers.retain(|_, id, _| !is_retry_header(id));
        state
    }

    fn merge(&self, head: &RequestHead, is_early_data: bool) -> Option<RetryState> {
        let headers = &head.headers;
        let mut retry_on = self.retry_on;
        for (id, family) in
            [(Id::X_ENVOY_RETRY_ON, Family::Http), (Id::X_ENVOY_RETRY_GRPC_ON, Family::Grpc)]
        {
            for list in headers.get_all_id(id) {
                retry_on |= Conditions::parse(list, family).0;
            }
        }
        if retry_on.is_empty() || !self.admits(head) {
            return None;
        }
        let asked = headers.get(Id::X_ENVOY_MAX_RETRIES).and_then(integer);
        let retries = asked.map_or(self.num_retries, |n| u32::try_from(n).unwrap_or(u32::MAX));
        Some(RetryState::new(retry_on, retries, is_early_data, from_headers(headers)))
    }

    fn admits(&self, head: &RequestHead) -> bool {
        self.retriable_request_headers.is_empty()
            || self.retriable_request_headers.iter().any(|matcher| matcher.matches(head))
    }
}

/// Codes and names that the request adds to the policy's. Bounded by the limit on its headers.
fn from_headers(headers: &Headers) -> Option<Box<FromHeaders>> {
    let codes = headers.get_all_id(Id::X_ENVOY_RETRIABLE_STATUS_CODES).flat_map(tokens);
    let names = headers.get_all_id(Id::X_ENVOY_RETRIABLE_HEADER_NAMES).flat_map(tokens);
    let code = |text| integer(text).and_then(|code| u16::try_from(code).ok());
    let name = |text| std::str::from_utf8(text).ok().map(Name::new);
    let added = FromHeaders {
        status_codes: codes.filter_map(code).collect(),
        header_names: names.filter_map(name).collect(),
    };
    let is_empty = added.status_codes.is_empty() && added.header_names.is_empty();
    (!is_empty).then(|| Box::new(added))
}

/// Headers that Envoy consumes with the retry policy, used or not.
const fn is_retry_header(id: Id) -> bool {
    matches!(
        id,
        Id::X_ENVOY_RETRY_ON
            | Id::X_ENVOY_RETRY_GRPC_ON
            | Id::X_ENVOY_MAX_RETRIES
            | Id::X_ENVOY_RETRIABLE_STATUS_CODES
            | Id::X_ENVOY_RETRIABLE_HEADER_NAMES
            | Id::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT
            | Id::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS
    )
}
