//! `google.protobuf.Any`: a message of a type that only its sender knows. Every resource and every
//! extension of Envoy's API arrives in one.
//!
//! Here the type is known to the caller; [`crate::write`] and [`crate::Document`] look it up.

use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

/// Why an `Any` is not the message that was expected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// It holds a message of another type.
    #[error("expected a message {expected}, found {found:?}")]
    Type {
        /// Full name of the type that the caller wanted.
        expected: String,
        /// Type URL as received.
        found: String,
    },
    /// Its bytes are no message of the type that it names.
    #[error("not a message {type_name}: {reason}")]
    Bytes {
        /// Full name of the type.
        type_name: String,
        /// What the decoder said.
        reason: prost::DecodeError,
    },
}

/// `type.googleapis.com/` and the full name of `M`.
#[must_use]
pub fn type_url<M: Name>() -> String {
    format!("type.googleapis.com/{}", M::full_name())
}

/// The full name of a message type in a type URL, or none if there is no `/` in it. What stands before
/// the last `/` carries no meaning.
#[must_use]
pub fn type_name(type_url: &str) -> Option<&str> {
    type_url.rsplit_once('/').map(|(_, name)| name)
}

/// The message in `any`, which must be an `M`.
///
/// # Errors
/// The type is another one, or the bytes are no `M`.
pub fn decode<M: Message + Name + Default>(any: &Any) -> Result<M, DecodeError> {
    let expected = M::full_name();
    if type_name(&any.type_url) != Some(expected.as_str()) {
        return Err(DecodeError::Type { expected, found: any.type_url.clone() });
    }
    M::decode(any.value.as_slice())
        .map_err(|reason| DecodeError::Bytes { type_name: expected, reason })
}

/// `message` in an `Any`.
#[must_use]
pub fn encode<M: Message + Name>(message: &M) -> Any {
    Any { type_url: type_url::<M>(), value: message.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envoy::config::core::v3::{Node, Pipe};
    use crate::{istio, udpa, xds};

    #[test]
    fn a_message_survives_the_way_through_any() {
        let node = Node { id: "a".into(), ..Node::default() };
        let mut any = encode(&node);
        assert_eq!(any.type_url, "type.googleapis.com/envoy.config.core.v3.Node");
        assert_eq!(decode::<Node>(&any), Ok(node.clone()));
        any.type_url = "example.com/types/envoy.config.core.v3.Node".into();
        assert_eq!(decode::<Node>(&any), Ok(node));
    }

    #[test]
    fn errors_name_both_types() {
        let any = encode(&Pipe { path: "/x".into(), mode: 0 });
        assert_eq!(
            decode::<Node>(&any).unwrap_err().to_string(),
            "expected a message envoy.config.core.v3.Node, found \
             \"type.googleapis.com/envoy.config.core.v3.Pipe\""
        );
        for url in ["envoy.config.core.v3.Node", "", "x/", "x/envoy.config.core.v3.Node/y"] {
            let any = Any { type_url: url.into(), value: Vec::new() };
            assert!(matches!(decode::<Node>(&any), Err(DecodeError::Type { .. })), "{url}");
        }
        let any = Any { type_url: type_url::<Node>(), value: vec![0x0a, 9] };
        let error = decode::<Node>(&any).unwrap_err().to_string();
        assert!(error.starts_with("not a message envoy.config.core.v3.Node: "), "{error}");
    }

    #[test]
    fn messages_of_our_own_have_the_names_that_control_planes_send() {
        for (url, name) in [
            (type_url::<udpa::r#type::v1::TypedStruct>(), "udpa.type.v1.TypedStruct"),
            (type_url::<xds::r#type::v3::TypedStruct>(), "xds.type.v3.TypedStruct"),
            (type_url::<istio::stats::PluginConfig>(), "stats.PluginConfig"),
            (
                type_url::<istio::alpn::FilterConfig>(),
                "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
            ),
        ] {
            assert_eq!(url, format!("type.googleapis.com/{name}"));
        }
    }
}
