//! Listener filters. (envoy: config.listener.v3.ListenerFilter)

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::listener::v3::listener_filter::ConfigType;
use outrigger_xds_api::envoy::config::listener::v3::listener_filter_chain_match_predicate::{
    MatchSet, Rule,
};
use outrigger_xds_api::envoy::config::listener::v3::{
    ListenerFilter as Message, ListenerFilterChainMatchPredicate as PredicateMessage,
};
use outrigger_xds_api::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
use outrigger_xds_api::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use outrigger_xds_api::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;

use super::Index;
use crate::config::common::{Translated, int_range, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::listener::Restore;
use crate::listener::inspect::{Inspector, Inspectors};
use crate::listener::predicate::Predicate;

/// Translates the listener filters, of which one may say when the true destination is asked for. A TLS inspector is added where chains ask
/// for what it finds, as Envoy does.
pub(super) fn inspectors(
    messages: Vec<Message>,
    at: &At<'_>,
    cx: &Cx<'_>,
    index: &Index,
) -> Translated<(Inspectors, Restore)> {
    let mut inspectors = Inspectors::default();
    let mut restores = Restore::Never;
    for (position, message) in messages.into_iter().enumerate() {
        let at = at.index(position);
        match listener_filter(message, &at, cx)? {
            (Found::Tls, inspector) => inspectors.tls = Some(inspector),
            (Found::Http, inspector) => inspectors.http = Some(inspector),
            (Found::OriginalDst, inspector) => {
                let is_first = inspectors.tls.is_none() && inspectors.http.is_none();
                let unless = inspector.disabled_for;
                restores = if is_first { Restore::First(unless) } else { Restore::Last(unless) };
            }
        }
    }
    let asks_for_tls = index.matches.iter().any(|chain| {
        chain.transport_protocol == "tls"
            || !chain.server_names.is_empty()
            || (chain.transport_protocol.is_empty() && !chain.application_protocols.is_empty())
    });
    if asks_for_tls && inspectors.tls.is_none() && inspectors.http.is_none() {
        inspectors.tls = Some(Inspector::default());
    }
    inspectors.tls_stats = inspectors.tls.as_ref().map(|_| cx.registry.stats("tls_inspector."));
    inspectors.http_stats = inspectors.http.as_ref().map(|_| cx.registry.stats("http_inspector."));
    Ok((inspectors, restores))
}

/// What a listener filter finds.
enum Found {
    Tls,
    Http,
    OriginalDst,
}

fn listener_filter(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<(Found, Inspector)> {
    fields!(cx, at, message => Message {
        used: name, filter_disabled, config_type;
    });
    // The type of the configuration says what it is.
    drop(name);
    let at_config = at.field("typed_config");
    let config = match required(config_type, &at_config)? {
        ConfigType::TypedConfig(config) => config,
        ConfigType::ConfigDiscovery(_) => {
            return Err(at.field("config_discovery").unsupported("discovery of a listener filter"));
        }
    };
    let disabled_for = match filter_disabled {
        Some(message) => Some(predicate(message, &at.field("filter_disabled"), cx, 0)?),
        None => None,
    };
    let decode = |error| at_config.error(error);
    match any::type_name(&config.type_url) {
        Some("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector") => {
            let message =
                any::decode::<TlsInspector>(&config).map_err(|e| decode(e.to_string()))?;
            tls_inspector(message, &at_config, cx)?;
            Ok((Found::Tls, Inspector { disabled_for }))
        }
        Some("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector") => {
            any::decode::<HttpInspector>(&config).map_err(|e| decode(e.to_string()))?;
            Ok((Found::Http, Inspector { disabled_for }))
        }
        Some("envoy.extensions.filters.listener.original_dst.v3.OriginalDst") => {
            any::decode::<OriginalDst>(&config).map_err(|e| decode(e.to_string()))?;
            Ok((Found::OriginalDst, Inspector { disabled_for }))
        }
        _ => Err(at_config.unsupported(format_args!("the listener filter {}", config.type_url))),
    }
}

fn tls_inspector(message: TlsInspector, at: &At<'_>, cx: &Cx<'_>) -> Translated<()> {
    fields!(cx, at, message => TlsInspector {
        ignored:
            initial_read_buffer_size = "the buffer grows with the ClientHello",
            max_client_hello_size = "a ClientHello above 16 KiB is not read";
        refused:
            enable_ja3_fingerprinting = "JA3",
            enable_ja4_fingerprinting = "JA4",
            close_connection_on_client_hello_parsing_errors = "closing by the TLS inspector";
    });
    Ok(())
}

/// For which connections a filter is off.
fn predicate(
    message: PredicateMessage,
    at: &At<'_>,
    cx: &Cx<'_>,
    depth: usize,
) -> Translated<Predicate> {
    if depth > Predicate::MAX_DEPTH {
        return Err(at.error("is nested too deep"));
    }
    fields!(cx, at, message => PredicateMessage { used: rule; });
    match required(rule, at)? {
        Rule::AnyMatch(true) => Ok(Predicate::Any),
        Rule::AnyMatch(false) => Err(at.field("any_match").error("must be true")),
        Rule::OrMatch(set) => Ok(Predicate::Or(set_of(set, &at.field("or_match"), cx, depth)?)),
        Rule::AndMatch(set) => Ok(Predicate::And(set_of(set, &at.field("and_match"), cx, depth)?)),
        Rule::NotMatch(message) => {
            let inner = predicate(*message, &at.field("not_match"), cx, depth + 1)?;
            Ok(Predicate::Not(Box::new(inner)))
        }
        Rule::DestinationPortRange(message) => {
            let at = at.field("destination_port_range");
            let (start, end) = int_range(message, &at, cx);
            let bound =
                |bound: i32| u32::try_from(bound).map_err(|_| at.error("must not be negative"));
            Ok(Predicate::DestinationPort(bound(start)?..bound(end)?))
        }
    }
}

fn set_of(message: MatchSet, at: &At<'_>, cx: &Cx<'_>, depth: usize) -> Translated<Vec<Predicate>> {
    fields!(cx, at, message => MatchSet { used: rules; });
    if rules.len() < 2 {
        return Err(at.field("rules").error("must have at least two rules"));
    }
    let at = at.field("rules");
    let each = |(index, message)| predicate(message, &at.index(index), cx, depth + 1);
    rules.into_iter().enumerate().map(each).collect()
}
