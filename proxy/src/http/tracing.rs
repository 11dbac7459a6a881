//! Whether a request is traced. Spans are not sent in this release (`docs/configuration.md`); the decision is made and carried in
//! `x-request-id`, so that services behind us agree about it. (envoy: HttpConnectionManager.tracing)

use outrigger_policy::head::{Headers, Id};

use super::request_id::{self, LENGTH, TraceReason};

/// Sampling rates, in hundredths of a percent: 10,000 is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Of requests with `x-client-trace-id`. (envoy: client_sampling)
    pub client: u32,
    /// Of all requests. (envoy: random_sampling)
    pub random: u32,
    /// Of those that would be traced. (envoy: overall_sampling)
    pub overall: u32,
}

impl Tracing {
    /// Decides for a request and writes the reason into its id.
    /// (envoy: `ConnectionManagerUtility::mutateTracingRequestHeader`)
    pub fn decide(self, headers: &mut Headers) -> TraceReason {
        let Some(id) = headers.get(Id::X_REQUEST_ID) else { return TraceReason::NotTraced };
        let Ok(mut id) = <[u8; LENGTH]>::try_from(id) else { return TraceReason::NotTraced };
        let (Some(place), Some(told)) = (request_id::modulo(&id, 10_000), request_id::reason(&id))
        else {
            return TraceReason::NotTraced;
        };
        let mut reason = told;
        if told == TraceReason::NotTraced {
            let is_picked = |rate| rand::random_range(0..10_000) < rate;
            if headers.contains(Id::X_CLIENT_TRACE_ID) && is_picked(self.client) {
                reason = TraceReason::ClientForced;
            } else if headers.contains(Id::X_ENVOY_FORCE_TRACE) {
                reason = TraceReason::ServerForced;
            } else if place < self.random {
                reason = TraceReason::Sampled;
            }
        }
        if place >= self.overall {
            reason = TraceReason::NotTraced;
        }
        if reason != told {
            request_id::set_reason(&mut id, reason);
            headers.set(Id::X_REQUEST_ID, &id);
        }
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_carries_the_decision() {
        let all = Tracing { client: 10_000, random: 10_000, overall: 10_000 };
        let none = Tracing { random: 0, ..all };
        let decide = |tracing: Tracing, line: Option<Id>| {
            let mut headers = Headers::new();
            headers.set(Id::X_REQUEST_ID, &request_id::random());
            if let Some(id) = line {
                headers.set(id, b"1");
            }
            let reason = tracing.decide(&mut headers);
            let id = headers.get(Id::X_REQUEST_ID).unwrap();
            assert_eq!(request_id::reason(id), Some(reason));
            reason
        };
        assert_eq!(decide(all, None), TraceReason::Sampled);
        assert_eq!(decide(none, None), TraceReason::NotTraced);
        assert_eq!(decide(none, Some(Id::X_CLIENT_TRACE_ID)), TraceReason::ClientForced);
        assert_eq!(decide(none, Some(Id::X_ENVOY_FORCE_TRACE)), TraceReason::ServerForced);
        let off = Tracing { overall: 0, ..all };
        assert_eq!(decide(off, Some(Id::X_ENVOY_FORCE_TRACE)), TraceReason::NotTraced);
    }

    #[test]
    fn the_same_id_is_always_decided_alike() {
        let tracing = Tracing { client: 0, random: 100, overall: 10_000 };
        let mut sampled = 0;
        for n in 0..10_000_u32 {
            let mut headers = Headers::new();
            let id = format!("{n:08x}-0000-4000-8000-000000000000");
            headers.set(Id::X_REQUEST_ID, id.as_bytes());
            sampled += u32::from(tracing.decide(&mut headers) == TraceReason::Sampled);
        }
        assert_eq!(sampled, 100, "one percent");
    }
}
