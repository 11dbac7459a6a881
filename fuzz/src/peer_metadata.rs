//! What a peer says of itself in a header line or before the bytes of a connection: read without building messages.
//!
//! What is checked: where a full decoder finds a `Struct`, its canonical form is read as the same workload, in whatever order its entries
//! stand; the header's form says the same as the bytes in it; and the same words are the same peer.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use outrigger::peer::{Peer, cache, wire};
use outrigger_xds_api::google::protobuf::Struct;
use outrigger_xds_api::google::protobuf::value::Kind;
use prost::Message;

/// `data` is an encoded `Struct`, or the value of a header line.
pub fn peer_metadata(data: &[u8]) {
    // A header line may hold anything.
    let _ = cache::of_header(b"any", data);
    let read = wire::read(data);
    assert_eq!(read, wire::read(data), "another answer the second time");
    for encoded in [STANDARD.encode(data), STANDARD_NO_PAD.encode(data)] {
        let peer = cache::of_header(data.get(..8).unwrap_or(data), encoded.as_bytes());
        let said = peer.as_deref().map(unnumbered);
        assert_eq!(said.as_ref(), read.as_ref().ok(), "the header says something else");
    }
    let again = || cache::of_struct(b"again", data);
    if let (Some(one), Some(other)) = (again(), again())
        && data.len() < 1024
    {
        assert!(Rc::ptr_eq(&one, &other), "the same words are another peer");
    }
    if let Ok(message) = Struct::decode(data) {
        let canonical = message.encode_to_vec();
        if canonical.len() <= wire::MAX_BYTES {
            assert_eq!(wire::read(&canonical), Ok(described(&message)), "of {message:?}");
        }
    }
}

/// The peer without its number.
pub(crate) fn unnumbered(peer: &Peer) -> Peer {
    Peer { id: 0, ..peer.clone() }
}

/// Whom a `Struct` describes.
fn described(message: &Struct) -> Peer {
    let none = Struct::default();
    let labels = match message.fields.get("LABELS").and_then(|value| value.kind.as_ref()) {
        Some(Kind::StructValue(labels)) => labels,
        _ => &none,
    };
    let label = |key| text(labels, key);
    let either = |first, second| {
        let first = label(first);
        if first.is_empty() { label(second) } else { first }
    };
    Peer {
        id: 0,
        workload: text(message, "WORKLOAD_NAME"),
        namespace: text(message, "NAMESPACE"),
        cluster: text(message, "CLUSTER_ID"),
        identity: text(message, "IDENTITY"),
        canonical_name: label("service.istio.io/canonical-name"),
        canonical_revision: label("service.istio.io/canonical-revision"),
        app: either("app.kubernetes.io/name", "app"),
        version: either("app.kubernetes.io/version", "version"),
    }
}

fn text(message: &Struct, key: &str) -> Box<str> {
    match message.fields.get(key).and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text.as_str().into(),
        _ => Box::default(),
    }
}
