//! From the bytes of a message to JSON: what `/config_dump` shows.
//!
//! The form is that of protobuf with Envoy's choices: fields under the names of the `.proto` file, an
//! `Any` opened with its type beside its fields, secrets replaced. Nothing is copied into a tree first:
//! [`Json`] is serialized straight from the decoded message.

mod message;
mod redact;
mod value;

use prost_reflect::DynamicMessage;
use serde::{Serialize, Serializer};

use crate::reflect::Pool;
use message::MessageView;
use redact::Shown;

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redact {
    /// Fields that Envoy's API calls sensitive lose their values, as in Envoy's `/config_dump`.
    Secrets,
    /// Everything is shown.
    Nothing,
}

/// A message that can be serialized as JSON.
#[derive(Clone, Debug)]
pub struct Json<'a> {
    pool: &'a Pool,
    message: DynamicMessage,
    redact: Redact,
}

/// Why a message cannot be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// There is no descriptor of its type.
    #[error("the type {0} is not known")]
    Type(String),
    /// Its bytes are no message of the type.
    #[error("not a message {type_name}: {reason}")]
    Bytes {
        /// Full name of the type.
        type_name: String,
        /// What the decoder said.
        reason: prost::DecodeError,
    },
}

/// The message `bytes`, of the type with the full name `type_name`, for a JSON serializer.
///
/// # Errors
/// The type is not known or the bytes are no such message. An `Any` inside that cannot be opened is no
/// error: it is shown as `{"@type": …, "value": <base64>}`.
pub fn to_json<'a>(
    pool: &'a Pool,
    type_name: &str,
    bytes: &[u8],
    redact: Redact,
) -> Result<Json<'a>, WriteError> {
    let descriptor = pool.message(type_name).ok_or_else(|| WriteError::Type(type_name.into()))?;
    let message = DynamicMessage::decode(descriptor, bytes)
        .map_err(|reason| WriteError::Bytes { type_name: type_name.into(), reason })?;
    Ok(Json { pool, message, redact })
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = match self.redact {
            Redact::Secrets => Shown::Public,
            Redact::Nothing => Shown::All,
        };
        let context = Context { pool: self.pool, shown, depth: 0 };
        MessageView { context, message: &self.message }.serialize(serializer)
    }
}

/// What every part of a message needs to know of its surroundings.
#[derive(Clone, Copy)]
struct Context<'a> {
    pool: &'a Pool,
    shown: Shown,
    /// Messages around this one, those in an `Any` included.
    depth: usize,
}

impl Context<'_> {
    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

#[cfg(test)]
mod tests;
