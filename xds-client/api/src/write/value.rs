//! One value of a field: scalars as the JSON form of protobuf has them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{Kind, MapKey, Value};
use serde::{Serialize, Serializer};

use super::Context;
use super::message::MessageView;
use super::redact::{REDACTED, Shown};

/// A value of a field, or an element of its list.
pub(super) struct ValueView<'a> {
    pub context: Context<'a>,
    /// Of the field; of a map, that of its values.
    pub kind: &'a Kind,
    pub value: &'a Value,
}

impl Serialize for ValueView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { context, kind, value } = *self;
        let secret = context.shown == Shown::Secret;
        match value {
            Value::String(_) if secret => serializer.serialize_str(REDACTED),
            Value::Bytes(_) if secret => bytes(REDACTED.as_bytes(), serializer),
            Value::String(text) => serializer.serialize_str(text),
            Value::Bytes(value) => bytes(value, serializer),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::I32(number) => serializer.serialize_i32(*number),
            Value::U32(number) => serializer.serialize_u32(*number),
            // JavaScript's numbers do not hold these.
            Value::I64(number) => serializer.collect_str(number),
            Value::U64(number) => serializer.collect_str(number),
            Value::F32(number) => match special(f64::from(*number)) {
                None => serializer.serialize_f32(*number),
                Some(special) => special.serialize(serializer),
            },
            Value::F64(number) => float(*number, serializer),
            Value::EnumNumber(number) => {
                match kind.as_enum().and_then(|descriptor| descriptor.get_value(*number)) {
                    Some(value) => serializer.serialize_str(value.name()),
                    None => serializer.serialize_i32(*number),
                }
            }
            Value::Message(message) => {
                MessageView { context: context.deeper(), message }.serialize(serializer)
            }
            Value::List(items) => serializer.collect_seq(
                items
                    .iter()
                    .filter(|item| context.shown.keeps_element(item))
                    .map(|value| ValueView { context, kind, value }),
            ),
            Value::Map(entries) => {
                let mut entries: Vec<(String, &Value)> = entries
                    .iter()
                    .filter(|(_, value)| context.shown.keeps_element(value))
                    .map(|(key, value)| (key_text(key), value))
                    .collect();
                entries.sort_by(|one, other| one.0.cmp(&other.0));
                serializer.collect_map(
                    entries
                        .into_iter()
                        .map(|(key, value)| (key, ValueView { context, kind, value })),
                )
            }
        }
    }
}

/// Bytes as base64.
pub(super) fn bytes<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(value))
}

/// A number, without a fraction if it has none, or the word for what is none.
pub(super) fn float<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    match special(number) {
        None => serializer.serialize_f64(number),
        Some(special) => special.serialize(serializer),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Special {
    Word(&'static str),
    Whole(i64),
}

fn special(number: f64) -> Option<Special> {
    /// Up to here, whole numbers are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.is_nan() {
        Some(Special::Word("NaN"))
    } else if number.is_infinite() {
        Some(Special::Word(if number > 0.0 { "Infinity" } else { "-Infinity" }))
    } else if number.fract() == 0.0 && number.abs() <= EXACT {
        Some(Special::Whole(number as i64))
    } else {
        None
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
