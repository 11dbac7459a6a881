//! One message: a map of the fields that are set, or the form of its own that a well-known type has.

use prost::bytes::Bytes;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};
use prost_types::{Duration, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Context;
use super::redact::{REDACTED, Shown};
use super::value::{ValueView, bytes};
use crate::any;
use crate::read::Unknown;
use crate::tree;
use crate::typed_struct::TypedStruct;
use crate::well_known::{self, WellKnown};

/// A message in its surroundings.
pub(super) struct MessageView<'a> {
    pub context: Context<'a>,
    pub message: &'a DynamicMessage,
}

impl Serialize for MessageView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let descriptor = message.descriptor();
        match WellKnown::of(descriptor.full_name()) {
            None => {
                let mut map = serializer.serialize_map(None)?;
                self.fields_into(&mut map)?;
                map.end()
            }
            Some(WellKnown::Any) => self.any(serializer),
            Some(WellKnown::Duration) => {
                let (seconds, nanos) = self.seconds_and_nanos();
                let duration = Duration { seconds, nanos };
                if well_known::is_valid_duration(&duration) {
                    serializer.collect_str(&duration)
                } else {
                    serializer.collect_str(&format_args!("{seconds}s {nanos}ns"))
                }
            }
            Some(WellKnown::Timestamp) => {
                let (seconds, nanos) = self.seconds_and_nanos();
                let timestamp = Timestamp { seconds, nanos };
                if well_known::is_valid_timestamp(&timestamp) {
                    serializer.collect_str(&timestamp)
                } else {
                    serializer.collect_str(&format_args!("{seconds}s {nanos}ns"))
                }
            }
            Some(WellKnown::Wrapper | WellKnown::Struct | WellKnown::ListValue) => {
                match descriptor.get_field(1) {
                    Some(field) => self.field(&field, serializer),
                    None => serializer.serialize_unit(),
                }
            }
            Some(WellKnown::Value) => match message.fields().next() {
                Some((field, _)) if field.name() != "null_value" => self.field(&field, serializer),
                _ => serializer.serialize_unit(),
            },
        }
    }
}

impl MessageView<'_> {
    fn fields_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let is_typed_struct = matches!(
            self.message.descriptor().full_name(),
            "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct"
        );
        if is_typed_struct && self.context.shown == Shown::Public {
            return self.typed_struct_into(map);
        }
        for (field, value) in self.message.fields() {
            let shown = self.context.shown.of_field(&field);
            let kind = value_kind(&field);
            if shown.keeps_kind(&kind) {
                let context = Context { shown, ..self.context };
                map.serialize_entry(field.name(), &ValueView { context, kind: &kind, value })?;
            }
        }
        Ok(())
    }

    /// The value of one field, which need not be set.
    fn field<S: Serializer>(
        &self,
        field: &FieldDescriptor,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let value = self.message.get_field(field);
        let kind = value_kind(field);
        let default = Value::default_value(&kind);
        let value = match value.as_ref() {
            Value::List(_) | Value::Map(_) => value.as_ref(),
            _ if self.context.shown.keeps_kind(&kind) => value.as_ref(),
            _ => &default,
        };
        ValueView { context: self.context, kind: &kind, value }.serialize(serializer)
    }

    /// Zero if they are secret.
    fn seconds_and_nanos(&self) -> (i64, i32) {
        if self.context.shown == Shown::Secret {
            return (0, 0);
        }
        let seconds = self.message.get_field_by_number(1).and_then(|value| value.as_i64());
        let nanos = self.message.get_field_by_number(2).and_then(|value| value.as_i32());
        (seconds.unwrap_or(0), nanos.unwrap_or(0))
    }

    /// A message opened, with its type beside its fields.
    fn any<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let url = self.message.get_field_by_number(1);
        let url = url.as_ref().and_then(|url| url.as_str()).unwrap_or("");
        let value = self.message.get_field_by_number(2);
        let value = value.as_ref().and_then(|value| value.as_bytes()).cloned().unwrap_or_default();

        let mut map = serializer.serialize_map(None)?;
        if url.is_empty() && value.is_empty() {
            return map.end();
        }
        map.serialize_entry("@type", url)?;
        self.opened_into(url, &value, &mut map)?;
        map.end()
    }

    fn opened_into<M: SerializeMap>(
        &self,
        url: &str,
        value: &Bytes,
        map: &mut M,
    ) -> Result<(), M::Error> {
        let context = self.context.deeper();
        let descriptor = context.pool.by_url(url);
        let is_known = descriptor.is_some();
        let opened = descriptor
            .filter(|_| context.depth <= tree::DEPTH_MAX)
            .and_then(|descriptor| DynamicMessage::decode(descriptor, value.clone()).ok());
        let Some(message) = opened else {
            // What is known and yet not opened may hide a secret.
            let hide = match context.shown {
                Shown::All => false,
                Shown::Public => is_known,
                Shown::Secret => true,
            };
            let value = if hide { REDACTED.as_bytes() } else { value };
            return map.serialize_entry("value", &Base64(value));
        };
        let view = MessageView { context, message: &message };
        match any::type_name(url).and_then(WellKnown::of) {
            Some(_) => map.serialize_entry("value", &view),
            None => view.fields_into(map),
        }
    }

    /// A struct that stands for a message: read as that message, because only its descriptor says what
    /// is secret. If that fails, all text in it is.
    fn typed_struct_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Ok(typed) = self.message.transcode_to::<TypedStruct>() else { return Ok(()) };
        if !typed.type_url.is_empty() {
            map.serialize_entry("type_url", &typed.type_url)?;
        }
        let message = typed.message(self.context.pool, Unknown::Collect(&mut Vec::new()));
        let opened = message.as_ref().ok().and_then(Option::as_ref).and_then(|message| {
            let descriptor = self.context.pool.by_url(&message.type_url)?;
            DynamicMessage::decode(descriptor, message.value.as_slice()).ok()
        });
        let context = self.context.deeper();
        if let Some(message) = &opened {
            return map.serialize_entry("value", &MessageView { context, message });
        }
        let shown = if matches!(message, Ok(None)) { Shown::Public } else { Shown::Secret };
        match self.message.get_field_by_number(2).as_deref() {
            Some(Value::Message(message)) if typed.value.is_some() => {
                let context = Context { shown, ..context };
                map.serialize_entry("value", &MessageView { context, message })
            }
            _ => Ok(()),
        }
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        bytes(self.0, serializer)
    }
}

/// The kind of a field's values: of a map, of what its keys lead to.
fn value_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}
