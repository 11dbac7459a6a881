//! One message: its fields by either name, or the form of its own that a well-known type has.

use std::borrow::Cow;
use std::mem;

use prost::Message;
use prost_reflect::{FieldDescriptor, MessageDescriptor};

use super::field::{excerpt, is_untyped};
use super::scalar::{self, Untyped};
use super::{Reader, Result, wire};
use crate::any;
use crate::path::Step;
use crate::tree::{Content, Entry, Node};
use crate::well_known::{self, WellKnown};

const DURATION: &str = "a duration as 1.5s";
const TIMESTAMP: &str = "a time as 2026-01-02T03:04:05Z";

impl<'a> Reader<'a> {
    /// Appends the bytes of `node` as a message, without length. Null is the empty message.
    pub(super) fn message(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &'a Node,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(well_known) = WellKnown::of(descriptor.full_name()) else {
            return match &node.content {
                Content::Map(entries) => self.fields(descriptor, entries.iter(), out),
                _ if node.is_null() => Ok(()),
                _ => self.expected("a map", node),
            };
        };
        match (well_known, &node.content) {
            (WellKnown::Value, _) => self.untyped(descriptor, node, out),
            _ if node.is_null() => Ok(()),
            (WellKnown::Any, Content::Map(entries)) => self.any(entries, node.line, out),
            (WellKnown::Struct, Content::Map(_)) | (WellKnown::ListValue, Content::List(_)) => {
                self.only_field(descriptor, node, out)
            }
            (WellKnown::Wrapper, _) => self.only_field(descriptor, node, out),
            (WellKnown::Duration, Content::Scalar(scalar)) => {
                match well_known::duration(&scalar.text) {
                    Some(duration) => out.extend(duration.encode_to_vec()),
                    None => return self.misfit(DURATION, scalar, node.line),
                }
                Ok(())
            }
            (WellKnown::Timestamp, Content::Scalar(scalar)) => {
                match well_known::timestamp(&scalar.text) {
                    Some(timestamp) => out.extend(timestamp.encode_to_vec()),
                    None => return self.misfit(TIMESTAMP, scalar, node.line),
                }
                Ok(())
            }
            (WellKnown::Any | WellKnown::Struct, _) => self.expected("a map", node),
            (WellKnown::ListValue, _) => self.expected("a list", node),
            (WellKnown::Duration, _) => self.expected(DURATION, node),
            (WellKnown::Timestamp, _) => self.expected(TIMESTAMP, node),
        }
    }

    /// The field that a wrapper, a `Struct` or a `ListValue` stands for.
    fn only_field(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &'a Node,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match descriptor.get_field(1) {
            Some(field) => self.field(&field, node, out),
            None => self.fail(node.line, format!("{} without a field", descriptor.full_name())),
        }
    }

    fn fields(
        &mut self,
        descriptor: &MessageDescriptor,
        entries: impl Iterator<Item = &'a Entry>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        // Fields that have a value, and its line.
        let mut set: Vec<(FieldDescriptor, u32)> = Vec::new();
        for entry in entries {
            let field = descriptor
                .get_field_by_name(&entry.key)
                .or_else(|| descriptor.get_field_by_json_name(&entry.key));
            let Some(field) = field else {
                let reason = format!("no such field in {}", descriptor.full_name());
                let step = Step::Field(Cow::Borrowed(&entry.key));
                self.at(step, |this| this.unknown(entry.line, reason))?;
                continue;
            };
            if entry.node.is_null()
                && (field.is_map() || field.is_list() || !is_untyped(&field.kind()))
            {
                continue;
            }
            let step = if field.name() == &*entry.key {
                Step::Field(Cow::Borrowed(&*entry.key))
            } else {
                Step::Field(Cow::Owned(field.name().into()))
            };
            self.at(step, |this| {
                if let Some((other, line)) = set.iter().find(|(other, _)| excludes(other, &field)) {
                    let reason = format!("{} is already set on line {line}", other.name());
                    return this.fail(entry.line, reason);
                }
                this.field(&field, &entry.node, out)
            })?;
            set.push((field, entry.line));
        }
        Ok(())
    }

    /// A message whose type stands beside its fields, or, if the type has a form of its own, beside
    /// its `value`.
    fn any(&mut self, entries: &'a [Entry], line: u32, out: &mut Vec<u8>) -> Result<()> {
        let is_type = |entry: &&Entry| &*entry.key == "@type";
        let Some(of_type) = entries.iter().find(is_type) else {
            return if entries.is_empty() { Ok(()) } else { self.fail(line, "no @type") };
        };
        let Content::Scalar(url) = &of_type.node.content else {
            return self.fail(of_type.line, "expected a type URL as @type");
        };
        let Some(type_name) = any::type_name(&url.text) else {
            let reason =
                format!("expected a type URL with a / as @type, found {}", excerpt(&url.text));
            return self.fail(of_type.line, reason);
        };
        let Some(descriptor) = self.source.pool.message(type_name) else {
            return self.fail(of_type.line, format!("the type {type_name} is not known"));
        };

        // Its bytes are decoded on their own.
        let depth = mem::take(&mut self.depth);
        let inner = self.opened(&descriptor, entries.iter().filter(|entry| !is_type(entry)));
        self.depth = depth;

        wire::bytes(1, url.text.as_bytes(), out);
        wire::bytes(2, &inner?, out);
        Ok(())
    }

    fn opened(
        &mut self,
        descriptor: &MessageDescriptor,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let type_name = descriptor.full_name();
        if WellKnown::of(type_name).is_none() {
            self.fields(descriptor, entries, &mut bytes)?;
            return Ok(bytes);
        }
        for entry in entries {
            let step = Step::Field(Cow::Borrowed(&*entry.key));
            self.at(step, |this| match &*entry.key {
                "value" => this.message(descriptor, &entry.node, &mut bytes),
                _ => this.unknown(entry.line, format!("{type_name} has only a value")),
            })?;
        }
        Ok(bytes)
    }

    /// A value that is for no field. (google: protobuf.Value)
    fn untyped(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &'a Node,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let inner = match &node.content {
            Content::Map(_) => descriptor.get_field_by_name("struct_value"),
            Content::List(_) => descriptor.get_field_by_name("list_value"),
            Content::Scalar(scalar) => {
                match scalar::untyped(scalar, self.source.syntax) {
                    Some(Untyped::Null) => wire::varint(1, 0, out),
                    Some(Untyped::Number(number)) => wire::eight(2, number.to_le_bytes(), out),
                    Some(Untyped::Text(text)) => wire::bytes(3, text.as_bytes(), out),
                    Some(Untyped::Bool(bool)) => wire::varint(4, bool.into(), out),
                    None => return self.misfit("a number of 64 bits", scalar, node.line),
                }
                return Ok(());
            }
        };
        match inner {
            Some(field) => self.value(field.number(), &field.kind(), node, out),
            None => self.fail(node.line, "google.protobuf.Value without a field"),
        }
    }
}

/// True if not both can be set: they are the same field, or alternatives.
fn excludes(one: &FieldDescriptor, other: &FieldDescriptor) -> bool {
    one == other
        || one.containing_oneof().is_some_and(|group| other.containing_oneof() == Some(group))
}
