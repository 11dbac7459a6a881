//! A `Struct` as a tree: it is JSON already parsed, and what reads trees reads it too.

use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};

use super::{Content, Entry, Node, Scalar};

/// The tree of `value`. It has no lines: all are 1. Keys are in alphabetical order.
pub(crate) fn from_struct(value: Option<&Struct>) -> Node {
    let mut entries: Vec<Entry> = value
        .iter()
        .flat_map(|value| &value.fields)
        .map(|(key, value)| Entry { key: key.as_str().into(), line: 1, node: from_value(value) })
        .collect();
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    Node { line: 1, content: Content::Map(entries) }
}

fn from_value(value: &Value) -> Node {
    let plain = |text: String| Content::Scalar(Scalar { text: text.into(), plain: true });
    let content = match &value.kind {
        Some(Kind::StructValue(value)) => return from_struct(Some(value)),
        Some(Kind::ListValue(list)) => Content::List(list.values.iter().map(from_value).collect()),
        Some(Kind::StringValue(text)) => {
            Content::Scalar(Scalar { text: text.as_str().into(), plain: false })
        }
        Some(Kind::NumberValue(number)) => plain(number.to_string()),
        Some(Kind::BoolValue(bool)) => plain(bool.to_string()),
        Some(Kind::NullValue(_)) | None => plain("null".into()),
    };
    Node { line: 1, content }
}
