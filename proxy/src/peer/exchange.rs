//! What two proxies of a mesh say of themselves before the bytes of a TCP connection, without I/O.
//!
//! Where ALPN has chosen the exchange's protocol, each side first sends a magic number, a length (both of four bytes, big endian) and a
//! `google.protobuf.Any` of a `Struct` with its metadata and its id. Only [`network::peer_exchange`](crate::listener::network) moves the
//! bytes. (envoy: contrib/istio/filters/network/metadata_exchange)

use std::rc::Rc;

use super::wire::{self, MAX_BYTES, Malformed, Value};
use super::{Own, Peer, cache};

/// What the exchange begins with.
pub const MAGIC: u32 = 0x3D23_0467;
/// Magic number and length.
const PREFIX: usize = 8;
/// Type of what is exchanged.
const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";
/// Keys of the struct.
const METADATA: &str = "x-envoy-peer-metadata";
const ID: &str = "x-envoy-peer-metadata-id";

/// What this side sends.
#[must_use]
pub fn frame(own: &Own, additional: &[String]) -> Vec<u8> {
    let metadata = own.encode(additional, false);
    let mut entries = std::collections::BTreeMap::from([(METADATA, Value::Struct(metadata))]);
    if !own.node_id.is_empty() {
        entries.insert(ID, Value::Text(own.node_id.to_string()));
    }
    let mut any = Vec::new();
    wire::push(1, STRUCT.as_bytes(), &mut any);
    wire::push(2, &wire::write(&entries), &mut any);
    let length = u32::try_from(any.len()).unwrap_or(u32::MAX);
    [&MAGIC.to_be_bytes()[..], &length.to_be_bytes(), &any].concat()
}

/// What the first bytes of the other side are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// More of them are needed.
    NeedMore,
    /// The other side's word for itself, and how many bytes it took.
    Peer(Rc<Peer>, usize),
    /// Well begun, but what follows describes nobody; and how many bytes that took.
    Nobody(usize),
    /// No exchange: all of it is the application's.
    NotOne,
    /// More than any proxy would say: nobody knows where the application's bytes would begin.
    TooLong,
}

/// Looks at the first bytes of the other side.
#[must_use]
pub fn listen(seen: &[u8]) -> Heard {
    let magic = MAGIC.to_be_bytes();
    let Some((prefix, rest)) = seen.split_first_chunk::<PREFIX>() else {
        let begins = magic.iter().zip(seen).all(|(wanted, found)| wanted == found);
        return if begins { Heard::NeedMore } else { Heard::NotOne };
    };
    let [a, b, c, d, length @ ..] = *prefix;
    if [a, b, c, d] != magic {
        return Heard::NotOne;
    }
    let Some(length) =
        usize::try_from(u32::from_be_bytes(length)).ok().filter(|length| *length <= MAX_BYTES)
    else {
        return Heard::TooLong;
    };
    let Some(any) = rest.get(..length) else { return Heard::NeedMore };
    match read(any) {
        Ok(Some(peer)) => Heard::Peer(peer, PREFIX + length),
        Ok(None) | Err(Malformed) => Heard::Nobody(PREFIX + length),
    }
}

fn read(any: &[u8]) -> Result<Option<Rc<Peer>>, Malformed> {
    let (mut type_url, mut value) = (&b""[..], &b""[..]);
    for field in wire::Fields::of(any) {
        match field? {
            (1, wire::Field::Bytes(bytes)) => type_url = bytes,
            (2, wire::Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    if type_url != STRUCT.as_bytes() {
        return Err(Malformed);
    }
    let (mut metadata, mut id) = (None, "");
    wire::each_entry(value, |key, value| {
        if key == METADATA.as_bytes() {
            metadata = Some(wire::struct_of(value)?);
        } else if key == ID.as_bytes() {
            id = wire::text_of(value)?;
        }
        Ok(())
    })?;
    Ok(metadata.and_then(|metadata| cache::of_struct(id.as_bytes(), metadata)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Vec<u8> {
        let peer = Peer { workload: "tcp-echo".into(), ..Peer::default() };
        frame(&Own { peer, node_id: "sidecar~1".into(), ..Own::default() }, &[])
    }

    #[test]
    fn a_frame_is_read_however_it_arrives_and_what_follows_is_left() {
        let whole = said();
        for end in 0..whole.len() {
            assert_eq!(listen(whole.get(..end).unwrap()), Heard::NeedMore, "{end}");
        }
        let followed = [&whole[..], b"application"].concat();
        for bytes in [&whole, &followed] {
            let Heard::Peer(peer, length) = listen(bytes) else { panic!() };
            assert_eq!((&*peer.workload, length), ("tcp-echo", whole.len()));
        }
    }

    #[test]
    fn what_is_no_frame_is_the_applications() {
        assert_eq!(listen(b"G"), Heard::NotOne);
        assert_eq!(listen(b"\x3d\x23\x04\x68"), Heard::NotOne);
        assert_eq!(listen(b"GET / HTTP/1.1\r\n"), Heard::NotOne);
    }

    #[test]
    fn a_length_is_bounded_and_nonsense_is_nobody() {
        let frame = |any: &[u8]| {
            let length = u32::try_from(any.len()).unwrap().to_be_bytes();
            [&MAGIC.to_be_bytes()[..], &length, any].concat()
        };
        assert_eq!(listen(&frame(b"")), Heard::Nobody(PREFIX));
        assert_eq!(listen(&frame(b"\xff\xff")), Heard::Nobody(PREFIX + 2));
        let mut other_type = Vec::new();
        wire::push(1, b"type.googleapis.com/other", &mut other_type);
        assert_eq!(listen(&frame(&other_type)), Heard::Nobody(PREFIX + other_type.len()));
        let long = [&MAGIC.to_be_bytes()[..], &u32::MAX.to_be_bytes()].concat();
        assert_eq!(listen(&long), Heard::TooLong);
    }
}
