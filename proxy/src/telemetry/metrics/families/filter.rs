//! What HTTP filters count. `P` is the connection manager's `stat_prefix`.

use super::super::family::family;

family! {
    /// Scope `http.P.rbac.`, with `rules_stat_prefix` `http.P.rbac.PREFIX.`, for one policy
    /// `http.P.rbac.policy.NAME.`; as a network filter the `stat_prefix` itself and `rbac.`
    RbacStat as RbacStats {
        counters { allowed, denied }
    }
}

family! {
    /// As [`RbacStat`], of shadow rules and their `shadow_rules_stat_prefix`.
    RbacShadowStat as RbacShadowStats {
        counters { shadow_allowed, shadow_denied }
    }
}

family! {
    /// Scope `http.P.fault.`
    FaultStat as FaultStats {
        counters { aborts_injected, delays_injected, faults_overflow, response_rl_injected }
        gauges { active_faults }
    }
}

family! {
    /// Scope `http.P.cors.`
    CorsStat as CorsStats {
        counters { origin_invalid, origin_valid }
    }
}

family! {
    /// Scope `http.P.jwt_authn.`, with a `stat_prefix` `http.P.jwt_authn.PREFIX.`
    JwtStat as JwtStats {
        counters {
            allowed,
            cors_preflight_bypassed,
            denied,
            jwks_fetch_failed,
            jwks_fetch_success,
            jwt_cache_hit,
            jwt_cache_miss,
        }
    }
}

family! {
    /// Scope `http.P.ext_authz.`, with a `stat_prefix` `http.P.ext_authz.PREFIX.`
    ExtAuthzStat as ExtAuthzStats {
        counters {
            denied,
            disabled,
            error,
            failure_mode_allowed,
            ignored_dynamic_metadata,
            invalid,
            ok,
            omitted_response_headers,
            request_header_limits_reached,
            response_header_limits_reached,
            shadow_denied,
            shadow_error,
        }
    }
}

family! {
    /// Scope `cluster.NAME.ext_authz.`, with a `stat_prefix` `cluster.NAME.ext_authz.PREFIX.`, of the
    /// cluster that the request goes to; made by the first check.
    ExtAuthzClusterStat as ExtAuthzClusterStats {
        rare_counters { denied, error, failure_mode_allowed, ok }
    }
}

family! {
    /// Scope `cluster.NAME.ratelimit.`, with a `stat_prefix` `cluster.NAME.ratelimit.PREFIX.`, of the
    /// cluster that the request goes to; made by the first check.
    RateLimitClusterStat as RateLimitClusterStats {
        rare_counters { error, failure_mode_allowed, ok, over_limit }
    }
}

family! {
    /// Scope `STAT_PREFIX.http_local_rate_limit.`
    LocalRateLimitStat as LocalRateLimitStats {
        counters { enabled, enforced, ok, rate_limited, shadow_mode }
    }
}

family! {
    /// Scope `http.P.compressor.LIBRARY.ALGORITHM.`
    CompressorStat as CompressorStats {
        counters {
            header_compressor_overshadowed,
            header_compressor_used,
            header_identity,
            header_not_valid,
            header_wildcard,
            no_accept_header,
            not_compressed_etag,
        }
    }
}

family! {
    /// The same scope, and `response.` where responses are configured by themselves.
    CompressedStat as CompressedStats {
        counters {
            compressed,
            content_length_too_small,
            not_compressed,
            total_compressed_bytes,
            total_uncompressed_bytes,
        }
    }
}

family! {
    /// Scope `cluster.NAME.grpc.SERVICE.METHOD.`; made by the first call. The codes are gRPC's.
    GrpcMethodStat as GrpcMethodStats {
        rare_counters {
            failure,
            request_message_count,
            response_message_count,
            success,
            total,
        }
        rare_histograms { upstream_rq_time }
        codes { status = "" }
    }
}
