//! Which streams a log tells of. (envoy: config.accesslog.v3.AccessLogFilter)
//!
//! A filter is asked once for each stream, when it has ended. Nesting is bounded where filters are translated. Absent: filters on metadata and extensions,
//! which the translator refuses.

use outrigger_policy::fraction::Fraction;
use outrigger_policy::head::{Fields, Id, Name};
use outrigger_policy::matcher::HeaderMatcher;
use outrigger_policy::verdict::ResponseFlag;
use tokio::time::Instant;

use super::operators::grpc_status;
use super::record::{LogType, Record};
use crate::http::request_id::{self, TraceReason};
use crate::worker;

/// A condition on a stream.
#[derive(Debug)]
pub enum Filter {
    /// The response's status; 0 without a response. (envoy: status_code_filter)
    Status(Comparison),
    /// Whole milliseconds from begin to end. (envoy: duration_filter)
    Duration(Comparison),
    /// The request is no health check; none is answered here, so all pass. (envoy: not_health_check_filter)
    NotHealthCheck,
    /// The request's id says that it is traced. (envoy: traceable_filter)
    Traceable,
    /// A share of streams. (envoy: runtime_filter)
    Sampled(Sampling),
    /// All of these. (envoy: and_filter)
    All(Box<[Self]>),
    /// One of these. (envoy: or_filter)
    Any(Box<[Self]>),
    /// A header of the request. (envoy: header_filter)
    Header(HeaderMatcher),
    /// One of these flags is set, or any if none is named. (envoy: response_flag_filter)
    Flags(Box<[ResponseFlag]>),
    /// One of these gRPC statuses, or none of them. (envoy: grpc_status_filter)
    Grpc {
        /// The statuses' numbers.
        statuses: Box<[i64]>,
        /// Streams with one of them do not pass.
        excludes: bool,
    },
    /// One of these reasons to write a line, or none of them. (envoy: log_type_filter)
    LogType {
        /// The types; those that do not occur are left out.
        types: Box<[LogType]>,
        /// Lines of these types do not pass.
        excludes: bool,
    },
}

/// How a number compares to another. (envoy: ComparisonFilter)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is this number.
    Equal(u32),
    /// It is not.
    NotEqual(u32),
    /// It is this number or a larger one.
    AtLeast(u32),
    /// It is this number or a smaller one.
    AtMost(u32),
}

/// A share of streams. (envoy: RuntimeFilter)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// How many.
    pub share: Fraction,
    /// Each is drawn anew; otherwise the request's id decides, so that all proxies on its way agree.
    pub is_independent: bool,
}

impl Filter {
    /// True if the stream's line is written.
    #[must_use]
    pub fn passes(&self, record: &Record<'_>) -> bool {
        match self {
            Self::Status(comparison) => comparison.holds(record.info.response_code.into()),
            Self::Duration(comparison) => comparison.holds(duration_ms(record)),
            Self::NotHealthCheck => true,
            Self::Traceable => is_traced(record),
            Self::Sampled(sampling) => sampling.picks(record),
            Self::All(filters) => filters.iter().all(|filter| filter.passes(record)),
            Self::Any(filters) => filters.iter().any(|filter| filter.passes(record)),
            Self::Header(matcher) => match record.request {
                Some(request) => matcher.matches(request),
                None => matcher.matches(&NoLines),
            },
            Self::Flags(flags) if flags.is_empty() => !record.info.flags.is_empty(),
            Self::Flags(flags) => flags.iter().any(|flag| record.info.flags.contains(*flag)),
            Self::Grpc { statuses, excludes } => {
                statuses.contains(&grpc_status(record)) != *excludes
            }
            Self::LogType { types, excludes } => types.contains(&record.log_type) != *excludes,
        }
    }
}

impl Comparison {
    const fn holds(self, value: u128) -> bool {
        match self {
            Self::Equal(other) => value == other as u128,
            Self::NotEqual(other) => value != other as u128,
            Self::AtLeast(other) => value >= other as u128,
            Self::AtMost(other) => value <= other as u128,
        }
    }
}

impl Sampling {
    fn picks(self, record: &Record<'_>) -> bool {
        let place = if self.is_independent {
            None
        } else {
            request_id(record).and_then(request_id::number)
        };
        self.share.holds(match place {
            Some(place) => place.into(),
            None => worker::with_rng(rand::Rng::next_u64),
        })
    }
}

fn duration_ms(record: &Record<'_>) -> u128 {
    let end = record.info.timing.end.unwrap_or_else(Instant::now);
    end.saturating_duration_since(record.info.start).as_millis()
}

fn request_id<'a>(record: &Record<'a>) -> Option<&'a [u8]> {
    record.request?.headers.get(Id::X_REQUEST_ID)
}

fn is_traced(record: &Record<'_>) -> bool {
    let reason = request_id(record).and_then(request_id::reason);
    record.has_tracing && reason.is_some_and(|reason| reason != TraceReason::NotTraced)
}

/// The head of a connection that is no request.
struct NoLines;

impl Fields for NoLines {
    fn values<'a>(&'a self, _: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        std::iter::empty()
    }
}

#[cfg(test)]
mod tests {
    use outrigger_policy::fraction::Denominator;
    use outrigger_policy::matcher::HeaderRule;

    use super::*;
    use crate::telemetry::access_log::testing::{Stream, request};

    /// What was sent to Envoy 1.40: a request, its status and its flag.
    fn streams() -> Vec<(&'static str, Stream)> {
        let id = |digits: &'static str| vec![("x-request-id", digits)];
        [
            ("/ok1", 200, vec![]),
            ("/ok2", 200, vec![("x-a", "b")]),
            ("/nf", 404, vec![]),
            ("/nfg", 200, vec![("content-type", "application/grpc")]),
            ("/ok-id0", 200, id("00000030-0000-0000-8000-000000000000")),
            ("/ok-id9", 200, id("00000039-0000-9000-8000-000000000000")),
            ("/ok-ida", 200, id("0000003a-0000-a000-8000-000000000000")),
            ("/ok-51", 200, id("00000033-0000-4000-8000-000000000000")),
            ("/ok-badid", 200, id("zzz")),
        ]
        .map(|(path, status, headers)| {
            let mut stream = request("GET", path, &headers);
            stream.info.response_code = status;
            stream.info.timing.end = Some(stream.info.start + std::time::Duration::from_millis(5));
            if path.starts_with("/nf") {
                stream.info.flags.insert(ResponseFlag::NoRouteFound);
            }
            (path, stream)
        })
        .into()
    }

    fn passing(filter: &Filter) -> Vec<&'static str> {
        let streams = streams();
        let passed = streams.iter().filter(|(_, stream)| filter.passes(&stream.record()));
        passed.map(|(path, _)| *path).collect()
    }

    fn header(rule: HeaderRule) -> Filter {
        Filter::Header(HeaderMatcher::new(Name::new("x-a"), rule, false, false))
    }

    #[test]
    fn filters_pass_what_they_do_in_envoy() {
        let all: Vec<_> = streams().iter().map(|(path, _)| *path).collect();
        let has_a = || header(HeaderRule::Present(true));
        let bad = || Filter::Status(Comparison::AtLeast(400));
        for (filter, expected) in [
            (Filter::Status(Comparison::Equal(404)), vec!["/nf"]),
            (Filter::Status(Comparison::AtMost(404)), all.clone()),
            (Filter::Duration(Comparison::AtLeast(0)), all.clone()),
            (Filter::Duration(Comparison::AtLeast(5)), all.clone()),
            (Filter::Duration(Comparison::AtLeast(6)), vec![]),
            (Filter::NotHealthCheck, all.clone()),
            (Filter::Traceable, vec!["/ok-id9", "/ok-ida"]),
            (has_a(), vec!["/ok2"]),
            (Filter::All([bad(), has_a()].into()), vec![]),
            (Filter::Any([bad(), has_a()].into()), vec!["/ok2", "/nf"]),
            (Filter::Flags([].into()), vec!["/nf", "/nfg"]),
            (Filter::Flags([ResponseFlag::NoRouteFound].into()), vec!["/nf", "/nfg"]),
            (Filter::Flags([ResponseFlag::NoClusterFound].into()), vec![]),
            (Filter::Grpc { statuses: [12].into(), excludes: false }, vec!["/nf"]),
            (
                Filter::LogType { types: [LogType::DownstreamEnd].into(), excludes: false },
                all.clone(),
            ),
            (Filter::LogType { types: [LogType::DownstreamEnd].into(), excludes: true }, vec![]),
            (Filter::LogType { types: [].into(), excludes: false }, vec![]),
        ] {
            assert_eq!(passing(&filter), expected, "{filter:?}");
        }
        let others = passing(&Filter::Grpc { statuses: [12].into(), excludes: true });
        assert_eq!(others.len(), all.len() - 1);
        assert_eq!(passing(&Filter::Status(Comparison::NotEqual(404))), others);
    }

    #[test]
    fn the_id_of_a_request_decides_about_its_sample() {
        let sampled = |numerator, is_independent| {
            let share = Fraction::new(numerator, Denominator::Hundred);
            passing(&Filter::Sampled(Sampling { share, is_independent }))
        };
        assert_eq!(sampled(0, false), Vec::<&str>::new());
        assert_eq!(sampled(100, true).len(), streams().len());
        for _ in 0..20 {
            // 0x30, 0x39, 0x3a, 0x33 of a hundred.
            let found = sampled(50, false);
            assert!(found.contains(&"/ok-id0"), "{found:?}");
            assert!(!found.iter().any(|p| matches!(*p, "/ok-id9" | "/ok-ida" | "/ok-51")));
        }
        let mut drawn: Vec<_> = (0..40).map(|_| sampled(50, true)).collect();
        drawn.dedup();
        assert!(drawn.len() > 1, "drawn anew");
    }

    #[test]
    fn a_connection_has_no_headers() {
        let stream = Stream::default();
        assert!(header(HeaderRule::Present(false)).passes(&stream.record()));
        assert!(!header(HeaderRule::Present(true)).passes(&stream.record()));
        assert!(!Filter::Traceable.passes(&stream.record()));
    }
}
