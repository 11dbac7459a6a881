//! Counters of gRPC. (envoy: extensions.filters.http.grpc_stats.v3.FilterConfig)

use outrigger_xds_api::envoy::config::core::v3::GrpcMethodList;
use outrigger_xds_api::envoy::config::core::v3::grpc_method_list::Service;
use outrigger_xds_api::envoy::extensions::filters::http::grpc_stats::v3::FilterConfig as Message;
use outrigger_xds_api::envoy::extensions::filters::http::grpc_stats::v3::filter_config::PerMethodStatSpecifier as Specifier;

use crate::config::common::{Translated, non_empty};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::http::filters::{GrpcStatsFilter, Methods};

pub(super) fn filter(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<GrpcStatsFilter> {
    fields!(cx, at, message => Message {
        used: emit_filter_state, enable_upstream_stats, replace_dots_in_grpc_service_name,
            per_method_stat_specifier;
    });
    let methods = match per_method_stat_specifier {
        None => Methods::Listed(Vec::new()),
        Some(Specifier::StatsForAllMethods(all)) if all.value => Methods::All,
        Some(Specifier::StatsForAllMethods(_)) => Methods::Listed(Vec::new()),
        Some(Specifier::IndividualMethodStatsAllowlist(message)) => {
            listed(message, &at.field("individual_method_stats_allowlist"), cx)?
        }
    };
    Ok(GrpcStatsFilter {
        methods,
        emits_state: emit_filter_state,
        times_upstream: enable_upstream_stats,
        replaces_dots: replace_dots_in_grpc_service_name,
        registry: cx.registry.clone(),
    })
}

fn listed(message: GrpcMethodList, at: &At<'_>, cx: &Cx<'_>) -> Translated<Methods> {
    fields!(cx, at, message => GrpcMethodList { used: services; });
    let mut listed = Vec::new();
    let services_at = at.field("services");
    for (index, message) in services.into_iter().enumerate() {
        let at = services_at.index(index);
        fields!(cx, at, message => Service { used: name, method_names; });
        let service: Box<str> = non_empty(name, &at.field("name"))?.into();
        if method_names.is_empty() {
            return Err(at.field("method_names").error("must not be empty"));
        }
        listed.extend(method_names.into_iter().map(|method| (service.clone(), method.into())));
    }
    Ok(Methods::Listed(listed))
}
