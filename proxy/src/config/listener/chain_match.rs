//! What a filter chain asks of a connection. (envoy: config.listener.v3.FilterChainMatch)

use outrigger_xds_api::envoy::config::listener::v3::FilterChainMatch as Message;
use outrigger_xds_api::envoy::config::listener::v3::filter_chain_match::ConnectionSourceType;

use crate::config::common::{Translated, cidrs, enumeration};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::listener::filter_chain::{ChainMatch, SourceType};

pub(super) fn chain_match(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<ChainMatch> {
    fields!(cx, at, message => Message {
        used: destination_port, prefix_ranges, direct_source_prefix_ranges, source_type,
            source_prefix_ranges, source_ports, server_names, transport_protocol,
            application_protocols;
        refused:
            address_suffix = "a match by the end of an address",
            suffix_len = "a match by the end of an address";
    });
    let port = |port: u32, at: At<'_>| match u16::try_from(port) {
        Ok(port @ 1..) => Ok(port),
        _ => Err(at.error(format_args!("{port} is no port"))),
    };
    Ok(ChainMatch {
        destination_port: destination_port
            .map(|number| port(number.value, at.field("destination_port")))
            .transpose()?,
        destination_ranges: cidrs(prefix_ranges, &at.field("prefix_ranges"), cx)?,
        server_names: self::server_names(server_names, &at.field("server_names"))?,
        transport_protocol,
        application_protocols,
        direct_source_ranges: cidrs(
            direct_source_prefix_ranges,
            &at.field("direct_source_prefix_ranges"),
            cx,
        )?,
        source_type: match enumeration(source_type, &at.field("source_type"))? {
            ConnectionSourceType::Any => SourceType::Any,
            ConnectionSourceType::SameIpOrLoopback => SourceType::SameIpOrLoopback,
            ConnectionSourceType::External => SourceType::External,
        },
        source_ranges: cidrs(source_prefix_ranges, &at.field("source_prefix_ranges"), cx)?,
        source_ports: source_ports
            .into_iter()
            .map(|number| port(number, at.field("source_ports")))
            .collect::<Result<_, _>>()?,
    })
}

/// Names are exact or `*.suffix`; a client sends them in lower case.
fn server_names(names: Vec<String>, at: &At<'_>) -> Translated<Vec<String>> {
    for (index, name) in names.iter().enumerate() {
        let rest = name.strip_prefix("*.").unwrap_or(name);
        if rest.contains('*') || rest.is_empty() {
            return Err(at.index(index).error(format_args!(
                "'{name}': partial wildcards are not supported in \"server_names\""
            )));
        }
    }
    Ok(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
}
