//! One field of a message: a list, a map or a single value.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind};

use super::{Reader, Result, scalar, wire};
use crate::path::Step;
use crate::tree::{Content, Node, Scalar};

impl<'a> Reader<'a> {
    /// Appends `node`, which is not null unless null is a value of the field.
    pub(super) fn field(
        &mut self,
        field: &FieldDescriptor,
        node: &'a Node,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if field.is_map() {
            self.map(field, node, out)
        } else if field.is_list() {
            self.list(field, node, out)
        } else {
            self.value(field.number(), &field.kind(), node, out)
        }
    }

    /// Without packing: decoders take either form. As in Envoy, one value is a list of one.
    fn list(&mut self, field: &FieldDescriptor, node: &'a Node, out: &mut Vec<u8>) -> Result<()> {
        let (number, kind) = (field.number(), field.kind());
        let Content::List(items) = &node.content else {
            return self.at(Step::Index(0), |this| this.value(number, &kind, node, out));
        };
        for (index, item) in items.iter().enumerate() {
            self.at(Step::Index(index), |this| {
                if item.is_null() && !is_untyped(&kind) {
                    return this.expected("a value", item);
                }
                this.value(number, &kind, item, out)
            })?;
        }
        Ok(())
    }

    fn map(&mut self, field: &FieldDescriptor, node: &'a Node, out: &mut Vec<u8>) -> Result<()> {
        let Content::Map(entries) = &node.content else {
            return self.expected("a map", node);
        };
        let Kind::Message(entry_type) = field.kind() else {
            return self.fail(node.line, "a map without an entry type");
        };
        let key_kind = entry_type.map_entry_key_field().kind();
        let value_kind = entry_type.map_entry_value_field().kind();
        for entry in entries {
            let mut bytes = Vec::new();
            self.at(Step::Key(&entry.key), |this| {
                this.deeper(entry.line, |this| {
                    let key = Scalar { text: entry.key.clone(), plain: false };
                    this.scalar(1, &key_kind, &key, entry.line, &mut bytes)?;
                    // Null stands for the value that an absent field has.
                    if entry.node.is_null() && !is_untyped(&value_kind) {
                        return Ok(());
                    }
                    this.value(2, &value_kind, &entry.node, &mut bytes)
                })
            })?;
            wire::bytes(field.number(), &bytes, out);
        }
        Ok(())
    }

    /// Appends one value, which is no list or map of the field, with its field number.
    pub(super) fn value(
        &mut self,
        number: u32,
        kind: &Kind,
        node: &'a Node,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if let Kind::Message(descriptor) = kind {
            let mut bytes = Vec::new();
            self.deeper(node.line, |this| this.message(descriptor, node, &mut bytes))?;
            wire::bytes(number, &bytes, out);
            return Ok(());
        }
        match &node.content {
            Content::Scalar(scalar) => self.scalar(number, kind, scalar, node.line, out),
            Content::List(_) | Content::Map(_) => self.expected(name(kind), node),
        }
    }

    fn scalar(
        &mut self,
        number: u32,
        kind: &Kind,
        scalar: &Scalar,
        line: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if let Kind::Enum(descriptor) = kind {
            return self.enumeration(number, descriptor, scalar, line, out);
        }
        match encode(number, kind, scalar, out) {
            Some(()) => Ok(()),
            None => self.misfit(name(kind), scalar, line),
        }
    }

    /// By name, in any case, or by number.
    fn enumeration(
        &mut self,
        number: u32,
        descriptor: &EnumDescriptor,
        scalar: &Scalar,
        line: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let value = descriptor
            .get_value_by_name(&scalar.text)
            .or_else(|| descriptor.values().find(|v| v.name().eq_ignore_ascii_case(&scalar.text)))
            .map(|value| value.number())
            .or_else(|| scalar::integer(scalar).and_then(|integer| i32::try_from(integer).ok()));
        if let Some(value) = value {
            wire::varint(number, i64::from(value) as u64, out);
            return Ok(());
        }
        let names: Vec<String> = descriptor.values().map(|value| value.name().into()).collect();
        let text = excerpt(&scalar.text);
        self.unknown(line, format!("expected one of {}, found {text}", names.join(", ")))
    }

    /// A scalar that is not `what` the field wants.
    pub(super) fn misfit(&self, what: &str, scalar: &Scalar, line: u32) -> Result<()> {
        self.fail(line, format!("expected {what}, found {}", excerpt(&scalar.text)))
    }
}

/// True for values that can be null: null is then no way to leave the field out.
pub(super) fn is_untyped(kind: &Kind) -> bool {
    kind.as_message().is_some_and(|message| message.full_name() == "google.protobuf.Value")
}

/// Appends a scalar with its field number, if it is one of this kind and fits.
fn encode(number: u32, kind: &Kind, scalar: &Scalar, out: &mut Vec<u8>) -> Option<()> {
    let integer = || scalar::integer(scalar);
    match kind {
        Kind::String => wire::bytes(number, scalar.text.as_bytes(), out),
        Kind::Bytes => wire::bytes(number, &scalar::bytes(scalar)?, out),
        Kind::Bool => wire::varint(number, scalar::boolean(scalar)?.into(), out),
        Kind::Double => wire::eight(number, scalar::float(scalar)?.to_le_bytes(), out),
        Kind::Float => {
            let wide = scalar::float(scalar)?;
            let narrow = wide as f32;
            if narrow.is_infinite() && wide.is_finite() {
                return None;
            }
            wire::four(number, narrow.to_le_bytes(), out);
        }
        Kind::Int32 => wire::varint(number, i64::from(i32::try_from(integer()?).ok()?) as u64, out),
        Kind::Int64 => wire::varint(number, i64::try_from(integer()?).ok()? as u64, out),
        Kind::Uint32 => wire::varint(number, u32::try_from(integer()?).ok()?.into(), out),
        Kind::Uint64 => wire::varint(number, u64::try_from(integer()?).ok()?, out),
        _ => return None,
    }
    Some(())
}

/// What a field wants, for an error.
fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "text",
        Kind::Bytes => "bytes in base64",
        Kind::Bool => "true or false",
        Kind::Double | Kind::Float => "a number",
        Kind::Uint32 => "a whole number from 0 to 4294967295",
        Kind::Uint64 => "a whole number from 0 to 18446744073709551615",
        Kind::Int32 => "a whole number of 32 bits",
        Kind::Int64 => "a whole number of 64 bits",
        Kind::Enum(_) => "a name",
        Kind::Message(_) => "a map",
        _ => "nothing: numbers in zigzag or fixed form, which Envoy's API does not use",
    }
}

/// The start of a text, in quotes, for an error.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
