//! Which streams a log tells of. (envoy: config.accesslog.v3.AccessLogFilter)

use outrigger_policy::fraction::{Denominator, Fraction};
use outrigger_policy::verdict::ResponseFlag;
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use outrigger_xds_api::envoy::config::accesslog::v3::comparison_filter::Op;
use outrigger_xds_api::envoy::config::accesslog::v3::extension_filter::ConfigType;
use outrigger_xds_api::envoy::config::accesslog::v3::grpc_status_filter::Status;
use outrigger_xds_api::envoy::config::accesslog::v3::{
    AccessLogFilter, AndFilter, ComparisonFilter, DurationFilter, GrpcStatusFilter, HeaderFilter,
    LogTypeFilter, NotHealthCheckFilter, OrFilter, ResponseFlagFilter, RuntimeFilter,
    StatusCodeFilter, TraceableFilter,
};
use outrigger_xds_api::envoy::config::core::v3::RuntimeUInt32;
use outrigger_xds_api::envoy::data::accesslog::v3::AccessLogType;

use crate::config::common::{Translated, enumeration, fraction, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;
use crate::telemetry::access_log::{Comparison, Filter, LogType, Sampling};

/// True for a filter that is a CEL expression, or has one within it.
pub(super) fn is_expression(message: &AccessLogFilter) -> bool {
    match &message.filter_specifier {
        Some(FilterSpecifier::AndFilter(all)) => all.filters.iter().any(is_expression),
        Some(FilterSpecifier::OrFilter(any)) => any.filters.iter().any(is_expression),
        Some(FilterSpecifier::ExtensionFilter(extension)) => match &extension.config_type {
            Some(ConfigType::TypedConfig(config)) => {
                any::type_name(&config.type_url) == Some(EXPRESSION)
            }
            None => false,
        },
        _ => false,
    }
}

const EXPRESSION: &str = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";

/// The filter of a log, or one within another: as deep as messages can be.
pub(super) fn filter(message: AccessLogFilter, at: &At<'_>, cx: &Cx<'_>) -> Translated<Filter> {
    fields!(cx, at, message => AccessLogFilter { used: filter_specifier; });
    Ok(match required(filter_specifier, at)? {
        FilterSpecifier::StatusCodeFilter(message) => {
            let at = at.field("status_code_filter");
            fields!(cx, at, message => StatusCodeFilter { used: comparison; });
            Filter::Status(self::comparison(comparison, &at.field("comparison"), cx)?)
        }
        FilterSpecifier::DurationFilter(message) => {
            let at = at.field("duration_filter");
            fields!(cx, at, message => DurationFilter { used: comparison; });
            Filter::Duration(self::comparison(comparison, &at.field("comparison"), cx)?)
        }
        FilterSpecifier::NotHealthCheckFilter(NotHealthCheckFilter {}) => Filter::NotHealthCheck,
        FilterSpecifier::TraceableFilter(TraceableFilter {}) => Filter::Traceable,
        FilterSpecifier::RuntimeFilter(message) => {
            Filter::Sampled(sampling(message, &at.field("runtime_filter"), cx)?)
        }
        FilterSpecifier::AndFilter(message) => {
            let at = at.field("and_filter");
            fields!(cx, at, message => AndFilter { used: filters; });
            Filter::All(several(filters, &at.field("filters"), cx)?)
        }
        FilterSpecifier::OrFilter(message) => {
            let at = at.field("or_filter");
            fields!(cx, at, message => OrFilter { used: filters; });
            Filter::Any(several(filters, &at.field("filters"), cx)?)
        }
        FilterSpecifier::HeaderFilter(message) => {
            let at = at.field("header_filter");
            fields!(cx, at, message => HeaderFilter { used: header; });
            let at = at.field("header");
            Filter::Header(matcher::header(required(header, &at)?, &at, cx)?)
        }
        FilterSpecifier::ResponseFlagFilter(message) => {
            flags(message, &at.field("response_flag_filter"), cx)?
        }
        FilterSpecifier::GrpcStatusFilter(message) => {
            grpc(message, &at.field("grpc_status_filter"), cx)?
        }
        FilterSpecifier::LogTypeFilter(message) => {
            log_type(message, &at.field("log_type_filter"), cx)?
        }
        FilterSpecifier::ExtensionFilter(_) => {
            return Err(at.field("extension_filter").unsupported("a filter that is an extension"));
        }
        FilterSpecifier::MetadataFilter(_) => {
            return Err(at.field("metadata_filter").unsupported("a filter on metadata"));
        }
    })
}

fn several(messages: Vec<AccessLogFilter>, at: &At<'_>, cx: &Cx<'_>) -> Translated<Box<[Filter]>> {
    if messages.len() < 2 {
        return Err(at.error("has fewer than 2 elements"));
    }
    let each = |(index, message)| filter(message, &at.index(index), cx);
    messages.into_iter().enumerate().map(each).collect()
}

fn comparison(
    message: Option<ComparisonFilter>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Comparison> {
    let message = required(message, at)?;
    fields!(cx, at, message => ComparisonFilter { used: op, value; });
    let op = enumeration(op, &at.field("op"))?;
    let at = at.field("value");
    let message = required(value, &at)?;
    fields!(cx, at, message => RuntimeUInt32 { used: default_value, runtime_key; });
    let of_runtime = cx.runtime.integer(&runtime_key);
    let default_value =
        of_runtime.map_or(default_value, |value| u32::try_from(value).unwrap_or(u32::MAX));
    Ok(match op {
        Op::Eq => Comparison::Equal(default_value),
        Op::Ge => Comparison::AtLeast(default_value),
        Op::Le => Comparison::AtMost(default_value),
        Op::Ne => Comparison::NotEqual(default_value),
    })
}

fn sampling(message: RuntimeFilter, at: &At<'_>, cx: &Cx<'_>) -> Translated<Sampling> {
    fields!(cx, at, message => RuntimeFilter {
        used: runtime_key, percent_sampled, use_independent_randomness;
    });
    non_empty(runtime_key, &at.field("runtime_key"))?;
    let share = match percent_sampled {
        Some(message) => fraction(message, &at.field("percent_sampled"), cx)?,
        None => Fraction::new(0, Denominator::Hundred),
    };
    Ok(Sampling { share, is_independent: use_independent_randomness })
}

fn flags(message: ResponseFlagFilter, at: &At<'_>, cx: &Cx<'_>) -> Translated<Filter> {
    fields!(cx, at, message => ResponseFlagFilter { used: flags; });
    let at = at.field("flags");
    let flag = |(index, name): (usize, String)| {
        let found = ResponseFlag::ALL.iter().find(|flag| flag.short() == name);
        found.copied().ok_or_else(|| {
            at.index(index).error(format_args!("'{}' is no response flag", name.escape_debug()))
        })
    };
    Ok(Filter::Flags(flags.into_iter().enumerate().map(flag).collect::<Translated<_>>()?))
}

fn grpc(message: GrpcStatusFilter, at: &At<'_>, cx: &Cx<'_>) -> Translated<Filter> {
    fields!(cx, at, message => GrpcStatusFilter { used: statuses, exclude; });
    let at = at.field("statuses");
    let status = |(index, number)| {
        enumeration::<Status>(number, &at.index(index)).map(|status| i64::from(status as i32))
    };
    let statuses = statuses.into_iter().enumerate().map(status).collect::<Translated<_>>()?;
    Ok(Filter::Grpc { statuses, excludes: exclude })
}

fn log_type(message: LogTypeFilter, at: &At<'_>, cx: &Cx<'_>) -> Translated<Filter> {
    fields!(cx, at, message => LogTypeFilter { used: types, exclude; });
    let at = at.field("types");
    let mut known = Vec::new();
    for (index, number) in types.into_iter().enumerate() {
        known.extend(match enumeration(number, &at.index(index))? {
            AccessLogType::NotSet => Some(LogType::NotSet),
            AccessLogType::DownstreamEnd => Some(LogType::DownstreamEnd),
            AccessLogType::TcpConnectionEnd => Some(LogType::TcpConnectionEnd),
            // Lines of these types are never written.
            AccessLogType::TcpUpstreamConnected
            | AccessLogType::TcpPeriodic
            | AccessLogType::TcpConnectionStart
            | AccessLogType::DownstreamStart
            | AccessLogType::DownstreamPeriodic
            | AccessLogType::UpstreamPoolReady
            | AccessLogType::UpstreamPeriodic
            | AccessLogType::UpstreamEnd
            | AccessLogType::DownstreamTunnelSuccessfullyEstablished
            | AccessLogType::UdpTunnelUpstreamConnected
            | AccessLogType::UdpPeriodic
            | AccessLogType::UdpSessionEnd => None,
        });
    }
    Ok(Filter::LogType { types: known.into(), excludes: exclude })
}
