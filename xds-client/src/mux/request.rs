//! Requests, and what they say of a response: the same words as Envoy's, because operators search for them.

use std::fmt::Write as _;
use std::sync::Arc;

use outrigger_xds_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use outrigger_xds_api::google::rpc::Status;
use prost::Message;

use crate::resource::ResourceType;

/// A reason is cut at this length. (envoy: `truncateGrpcStatusMessage`)
const REASON_BYTES_MAX: usize = 4096;

/// `google.rpc.Code.INTERNAL`, which is what a rejection is always called. (envoy: MUX)
const INTERNAL: i32 = 13;

/// A request that is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// State of the world.
    Sotw(DiscoveryRequest),
    /// Delta.
    Delta(DeltaDiscoveryRequest),
}

impl Request {
    /// The encoded message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Sotw(request) => request.encode_to_vec(),
            Self::Delta(request) => request.encode_to_vec(),
        }
    }
}

/// A resource that its owner refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its name.
    pub name: Arc<str>,
    /// Which field, and why.
    pub reason: String,
}

/// What is said of a response: that it was accepted, or why not.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its number among all responses.
    pub(super) serial: u64,
    /// None if its stream is gone: nobody waits for the answer.
    pub(super) nonce: Option<String>,
    pub(super) rejection: Option<String>,
}

/// The `error_detail` of a rejection.
pub(super) fn status(mut reason: String) -> Status {
    if reason.len() > REASON_BYTES_MAX {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        reason.push_str("...(truncated)");
    }
    Status { code: INTERNAL, message: reason, details: Vec::new() }
}

/// What is said of the resources of a response that were refused.
pub(super) fn describe(kind: ResourceType, refusals: &[Refusal]) -> String {
    let (what, ends_line) = match kind {
        ResourceType::Cluster => ("cluster(s)", false),
        ResourceType::Endpoints => ("cluster load assignment(s)", false),
        ResourceType::Listener => ("listener(s)", true),
        ResourceType::Routes => ("route configuration(s)", false),
        ResourceType::Secret => ("secret(s)", false),
    };
    let mut text = format!("Error adding/updating {what} ");
    for (index, Refusal { name, reason }) in refusals.iter().enumerate() {
        let before = if index == 0 || ends_line { "" } else { ", " };
        let after = if ends_line { "\n" } else { "" };
        // What is cut off anyway is not built.
        if text.len() > REASON_BYTES_MAX {
            break;
        }
        let written = write!(text, "{before}{name}: {reason}{after}");
        debug_assert!(written.is_ok());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_07_refused_resources_are_listed_as_envoy_lists_them() {
        let refused = |name: &str| Refusal { name: name.into(), reason: "bad".into() };
        let both = [refused("a"), refused("b")];
        for (kind, expected) in [
            (ResourceType::Cluster, "Error adding/updating cluster(s) a: bad, b: bad"),
            (ResourceType::Listener, "Error adding/updating listener(s) a: bad\nb: bad\n"),
        ] {
            assert_eq!(describe(kind, &both), expected);
        }
    }

    #[test]
    fn rule_06_a_long_reason_is_cut_between_characters() {
        for (reason, length) in [
            ("a".repeat(4096), 4096),
            ("a".repeat(4097), 4096 + 14),
            (format!("a{}", "ö".repeat(3000)), 4095 + 14),
        ] {
            let status = status(reason);
            assert_eq!((status.code, status.message.len()), (13, length));
        }
        let refusal = |i| Refusal { name: format!("{i}").into(), reason: "x".repeat(90) };
        let many: Vec<_> = (0..1000).map(refusal).collect();
        assert!(describe(ResourceType::Cluster, &many).len() < 4096 + 200);
    }
}
