//! What became of a request: response flags as Envoy spells them, and the cause behind a failure.
//!
//! Flags and details are Envoy's and go into access logs byte for byte. The [`Cause`] is ours: a bounded
//! code with the one name that matters, for the person who has to find out why.

use std::fmt;

macro_rules! flags {
    ($($(#[$doc:meta])* $variant:ident = $short:literal),+ $(,)?) => {
        /// A response flag of Envoy: `%RESPONSE_FLAGS%`.
        /// (envoy: `envoy/data/accesslog/v3/accesslog.proto`, ResponseFlags)
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ResponseFlag { $($(#[$doc])* $variant),+ }

        impl ResponseFlag {
            /// Every flag.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The short form, as in `%RESPONSE_FLAGS%`.
            #[must_use]
            pub const fn short(self) -> &'static str {
                match self { $(Self::$variant => $short),+ }
            }

            /// The long form, as in `%RESPONSE_FLAGS_LONG%`.
            #[must_use]
            pub const fn long(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }
    };
}

flags! {
    /// The local service failed its health check.
    FailedLocalHealthCheck = "LH",
    /// No healthy host in the upstream cluster.
    NoHealthyUpstream = "UH",
    /// The route's or the attempt's timeout ended.
    UpstreamRequestTimeout = "UT",
    /// The connection was reset locally.
    LocalReset = "LR",
    /// The upstream reset the stream.
    UpstreamRemoteReset = "UR",
    /// Connecting to the upstream failed.
    UpstreamConnectionFailure = "UF",
    /// The upstream closed the connection.
    UpstreamConnectionTermination = "UC",
    /// A circuit breaker was full.
    UpstreamOverflow = "UO",
    /// No route or no filter chain matched.
    NoRouteFound = "NR",
    /// A fault delayed the request.
    DelayInjected = "DI",
    /// A fault aborted the request.
    FaultInjected = "FI",
    /// A local rate limit refused the request.
    RateLimited = "RL",
    /// External authorization refused the request.
    UnauthorizedExternalService = "UAEX",
    /// The rate limit service failed.
    RateLimitServiceError = "RLSE",
    /// The client closed the connection.
    DownstreamConnectionTermination = "DC",
    /// All retries were used.
    UpstreamRetryLimitExceeded = "URX",
    /// The stream was idle for too long.
    StreamIdleTimeout = "SI",
    /// A strictly checked `x-envoy-*` header had a bad value.
    InvalidEnvoyRequestHeaders = "IH",
    /// The client broke the protocol.
    DownstreamProtocolError = "DPE",
    /// The upstream stream reached its longest duration.
    UpstreamMaxStreamDurationReached = "UMSDR",
    /// A cache filter answered.
    ResponseFromCacheFilter = "RFCF",
    /// A filter has no configuration.
    NoFilterConfigFound = "NFCF",
    /// The request or connection lived for too long.
    DurationTimeout = "DT",
    /// The upstream broke the protocol.
    UpstreamProtocolError = "UPE",
    /// The route's cluster does not exist.
    NoClusterFound = "NC",
    /// The overload manager ended the request.
    OverloadManagerTerminated = "OM",
    /// A name could not be resolved.
    DnsResolutionFailed = "DF",
    /// The cluster drops a share of requests.
    DropOverload = "DO",
    /// The client reset the stream.
    DownstreamRemoteReset = "DR",
    /// The cluster drops all requests.
    UnconditionalDropOverload = "UDO",
}

/// Flags of one request in the order in which they were set, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    set: [Option<ResponseFlag>; 4],
}

impl Flags {
    /// Adds `flag` unless it is there. A fifth flag is dropped: no path of the proxy sets more.
    pub fn insert(&mut self, flag: ResponseFlag) {
        for slot in &mut self.set {
            match slot {
                Some(held) if *held == flag => return,
                Some(_) => {}
                None => {
                    *slot = Some(flag);
                    return;
                }
            }
        }
    }

    /// Takes `flag` back.
    pub fn remove(&mut self, flag: ResponseFlag) {
        for slot in &mut self.set {
            slot.take_if(|held| *held == flag);
        }
        // No gaps: what is inserted next comes last.
        self.set.sort_by_key(Option::is_none);
    }

    /// True if `flag` was set.
    #[must_use]
    pub fn contains(&self, flag: ResponseFlag) -> bool {
        self.set.contains(&Some(flag))
    }

    /// True if none was set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.set[0].is_none()
    }

    /// The flags in the order of setting.
    pub fn iter(&self) -> impl Iterator<Item = ResponseFlag> {
        self.set.iter().map_while(|slot| *slot)
    }
}

impl fmt::Display for Flags {
    /// Short forms joined by commas, `-` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, flag) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(flag.short())?;
        }
        Ok(())
    }
}

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal),+ $(,)?) => {
        /// Why a request failed: a bounded set, fit for a metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CauseCode { $($(#[$doc])* $variant),+ }

        impl CauseCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code as metrics and logs spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }
        }
    };
}

causes! {
    /// No virtual host serves the authority.
    NoVirtualHost = "no_virtual_host",
    /// The virtual host has no matching route.
    NoRoute = "no_route",
    /// The route configuration has not arrived.
    NoRouteConfig = "no_route_config",
    /// The route names a cluster that does not exist.
    ClusterNotFound = "cluster_not_found",
    /// No host of the cluster may be picked.
    NoHealthyHost = "no_healthy_host",
    /// The cluster has no host at all.
    NoHost = "no_host",
    /// A circuit breaker's connection limit.
    MaxConnections = "max_connections",
    /// A circuit breaker's limit of waiting requests.
    MaxPendingRequests = "max_pending_requests",
    /// A circuit breaker's request limit.
    MaxRequests = "max_requests",
    /// The cluster is in maintenance.
    Maintenance = "maintenance",
    /// The host refused the connection.
    ConnectRefused = "connect_refused",
    /// The connection was not up within `connect_timeout`.
    ConnectTimeout = "connect_timeout",
    /// The connection failed for another reason.
    ConnectFailed = "connect_failed",
    /// The TLS handshake with the upstream failed.
    UpstreamTls = "upstream_tls",
    /// A certificate or key for the upstream has not arrived.
    MissingSecret = "missing_secret",
    /// The upstream closed before an answer.
    UpstreamClosed = "upstream_closed",
    /// The upstream reset the stream.
    UpstreamReset = "upstream_reset",
    /// The upstream refused the stream.
    UpstreamRefusedStream = "upstream_refused_stream",
    /// The upstream sent what is not HTTP.
    UpstreamProtocol = "upstream_protocol",
    /// The upstream's header block is over the limit.
    UpstreamHeaders = "upstream_headers_too_large",
    /// The route's timeout.
    RouteTimeout = "route_timeout",
    /// The timeout of the last attempt.
    PerTryTimeout = "per_try_timeout",
    /// The idle timeout of the last attempt.
    PerTryIdleTimeout = "per_try_idle_timeout",
    /// The stream's idle timeout.
    StreamIdleTimeout = "stream_idle_timeout",
    /// The longest duration of a stream.
    MaxStreamDuration = "max_stream_duration",
    /// The request did not arrive in time.
    RequestTimeout = "request_timeout",
    /// A fault was injected.
    Fault = "fault",
    /// An authorization policy denied.
    Denied = "denied",
    /// A virtual host demands TLS or an upgrade that is off.
    Refused = "refused",
    /// The request breaks HTTP.
    BadRequest = "bad_request",
    /// The request's header block is over a limit.
    HeadersTooLarge = "headers_too_large",
    /// The body is over the buffer's limit.
    BodyTooLarge = "body_too_large",
    /// The client went away.
    ClientGone = "client_gone",
    /// A filter or the proxy itself failed.
    Internal = "internal",
}

/// Why a request failed, with the name of what was missing, full or denying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The bounded code.
    pub code: CauseCode,
    /// The resource or address that it is about; empty if there is none.
    pub subject: Box<str>,
}

impl Cause {
    /// A cause about `subject`.
    #[must_use]
    pub fn about(code: CauseCode, subject: &str) -> Self {
        Self { code, subject: subject.into() }
    }
}

impl From<CauseCode> for Cause {
    fn from(code: CauseCode) -> Self {
        Self { code, subject: Box::default() }
    }
}

impl fmt::Display for Cause {
    /// `cluster_not_found(outbound|80||a.b)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        if self.subject.is_empty() { Ok(()) } else { write!(f, "({})", self.subject) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_print_in_the_order_of_setting_and_once() {
        let mut flags = Flags::default();
        assert_eq!(flags.to_string(), "-");
        flags.insert(ResponseFlag::UpstreamRetryLimitExceeded);
        flags.insert(ResponseFlag::UpstreamRequestTimeout);
        flags.insert(ResponseFlag::UpstreamRetryLimitExceeded);
        assert_eq!(flags.to_string(), "URX,UT");
    }

    #[test]
    fn short_forms_are_unique() {
        let mut shorts: Vec<_> = ResponseFlag::ALL.iter().map(|f| f.short()).collect();
        shorts.sort_unstable();
        shorts.dedup();
        assert_eq!(shorts.len(), ResponseFlag::ALL.len());
    }

    #[test]
    fn a_cause_names_its_subject() {
        assert_eq!(Cause::from(CauseCode::NoRoute).to_string(), "no_route");
        let missing = Cause::about(CauseCode::ClusterNotFound, "outbound|9080|v3|reviews");
        assert_eq!(missing.to_string(), "cluster_not_found(outbound|9080|v3|reviews)");
    }
}
