//! What is said about clusters and hosts besides what they are. (envoy: config.core.v3.Metadata)

use std::collections::BTreeMap;
use std::sync::Arc;

use outrigger_xds_api::envoy::config::core::v3::Metadata as Message;
use outrigger_xds_api::google::protobuf::value::Kind;
use outrigger_xds_api::google::protobuf::{Struct, Value as ValueMessage};
use serde_json::{Map, Number, Value};

use crate::config::common::Translated;
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::peer::Peer;
use crate::upstream::Metadata;
use crate::upstream::transport::Labels;

/// Under this name stands what selects a transport.
const TRANSPORT: &str = "envoy.transport_socket_match";

/// Translates metadata.
pub(in crate::config) fn metadata(
    message: Option<Message>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Metadata> {
    let entries = entries(message, at, cx)?;
    Ok(entries.map(|(name, value)| (name.into(), map(value))).collect())
}

/// The labels that select a transport. Only texts can be matched.
pub(in crate::config) fn labels(
    message: Option<Message>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Labels> {
    let mut entries = entries(message, at, cx)?;
    let Some((_, said)) = entries.find(|(name, _)| name == TRANSPORT) else {
        return Ok(Labels::new());
    };
    let texts = said.fields.into_iter().filter_map(|(key, value)| match value.kind {
        Some(Kind::StringValue(text)) => Some((key.into(), text.into())),
        _ => None,
    });
    Ok(texts.collect())
}

/// The workload that Istio says stands behind an endpoint.
pub(in crate::config) fn workload(message: Option<&Message>) -> Option<Arc<Peer>> {
    let istio = message?.filter_metadata.get("istio")?;
    match &istio.fields.get("workload")?.kind {
        Some(Kind::StringValue(text)) => Peer::of_endpoint(text).map(Arc::new),
        _ => None,
    }
}

fn entries(
    message: Option<Message>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<impl Iterator<Item = (String, Struct)>> {
    let message = message.unwrap_or_default();
    fields!(cx, at, message => Message {
        used: filter_metadata;
        ignored: typed_filter_metadata = "nothing reads it";
    });
    if filter_metadata.contains_key("") {
        return Err(at.field("filter_metadata").key("").error("must not be empty"));
    }
    Ok(filter_metadata.into_iter())
}

/// In the order of the names, as Envoy writes it; the message has none.
fn map(message: Struct) -> Map<String, Value> {
    let sorted: BTreeMap<_, _> = message.fields.into_iter().collect();
    sorted.into_iter().map(|(key, value)| (key, json(value))).collect()
}

/// A whole number without a fraction, as Envoy writes it.
fn json_number(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and small enough")]
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

// As deep as the decoder lets messages be.
fn json(message: ValueMessage) -> Value {
    match message.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => json_number(number),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::BoolValue(is)) => Value::Bool(is),
        Some(Kind::StructValue(message)) => Value::Object(map(message)),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(json).collect()),
    }
}
