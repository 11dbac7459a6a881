//! What is shown of a secret: that it is there, and its shape. (envoy: `udpa.annotations.sensitive`)
//!
//! As in Envoy, text and bytes become `[redacted]`; numbers, booleans and enums vanish; messages are
//! kept, with the same done to what is in them.

use prost_reflect::{FieldDescriptor, Kind, ReflectMessage, Value};

use crate::reflect;
use crate::well_known::WellKnown;

/// What stands in place of a text or of bytes.
pub(super) const REDACTED: &str = "[redacted]";

/// How much of a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// All of it: the caller does not want secrets redacted.
    All,
    /// All of it but for sensitive fields.
    Public,
    /// The inside of a sensitive field.
    Secret,
}

impl Shown {
    /// How much of a field is shown where this much of its message is.
    pub(super) fn of_field(self, field: &FieldDescriptor) -> Self {
        if self == Self::Public && reflect::is_sensitive(field) { Self::Secret } else { self }
    }

    /// True if a field of this kind is left over when this much is shown.
    pub(super) fn keeps_kind(self, kind: &Kind) -> bool {
        self != Self::Secret || matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_))
    }

    /// True if this element of a list or map is left over.
    pub(super) fn keeps_element(self, value: &Value) -> bool {
        if self != Self::Secret {
            return true;
        }
        match value {
            Value::String(_) | Value::Bytes(_) => true,
            Value::Message(message) => {
                WellKnown::of(message.descriptor().full_name()) != Some(WellKnown::Value)
                    || message.fields().any(|(_, value)| self.keeps_element(value))
            }
            _ => false,
        }
    }
}
