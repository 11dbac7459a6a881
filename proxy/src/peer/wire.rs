//! Peer metadata as bytes: a `google.protobuf.Struct` of which few fields matter, read and written without building it.
//!
//! What is read was sent by a peer that nobody may trust: no recursion, no allocation but for the values that are kept, and whatever
//! is not well-formed as far as it is looked at makes no peer at all. (protobuf: encoding, `google/protobuf/struct.proto`)

use std::collections::BTreeMap;

use super::Peer;

/// More bytes than this are not metadata: what proxies of a mesh say of themselves is some hundred.
pub const MAX_BYTES: usize = 16 * 1024;

/// The bytes are no such message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// A number that this module has no use for.
    Other,
    /// A string, or a message.
    Bytes(&'a [u8]),
}

/// Fields of a message, one after the other. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of `message`.
    #[must_use]
    pub const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Field<'a>), Malformed> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed);
        }
        let field = match tag & 7 {
            0 => self.varint().map(|_| Field::Other),
            1 => self.take(8).map(|_| Field::Other),
            2 => {
                let length = self.varint()?;
                self.take(length).map(Field::Bytes)
            }
            5 => self.take(4).map(|_| Field::Other),
            // Groups were never part of these messages.
            _ => Err(Malformed),
        };
        Ok((number, field?))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The bytes of field `number`, if they are there; the last of several counts.
fn bytes_at(message: &[u8], number: u64) -> Result<Option<&[u8]>, Malformed> {
    let mut found = None;
    for field in Fields::of(message) {
        if let (at, Field::Bytes(bytes)) = field?
            && at == number
        {
            found = Some(bytes);
        }
    }
    Ok(found)
}

/// Calls `visit` with key and value of each entry of a `Struct`.
///
/// # Errors
/// If it is none, or `visit` says so.
pub fn each_entry<'a>(
    message: &'a [u8],
    mut visit: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    for field in Fields::of(message) {
        let (number, field) = field?;
        if let (1, Field::Bytes(entry)) = (number, field) {
            let key = bytes_at(entry, 1)?.unwrap_or_default();
            visit(key, bytes_at(entry, 2)?.unwrap_or_default())?;
        }
    }
    Ok(())
}

/// The text that a `Value` holds; empty if it holds something else.
///
/// # Errors
/// If it is no `Value`, or the text no UTF-8.
pub fn text_of(value: &[u8]) -> Result<&str, Malformed> {
    let text = bytes_at(value, 3)?.unwrap_or_default();
    std::str::from_utf8(text).map_err(|_| Malformed)
}

/// The `Struct` that a `Value` holds; empty if it holds something else.
///
/// # Errors
/// If it is no `Value`.
pub fn struct_of(value: &[u8]) -> Result<&[u8], Malformed> {
    Ok(bytes_at(value, 5)?.unwrap_or_default())
}

/// The peer that a `Struct` describes, without an id.
///
/// # Errors
/// If it is no `Struct`, or one that is too large.
pub fn read(message: &[u8]) -> Result<Peer, Malformed> {
    if message.len() > MAX_BYTES {
        return Err(Malformed);
    }
    let mut peer = Peer::default();
    each_entry(message, |key, value| {
        match key {
            b"NAMESPACE" => peer.namespace = text_of(value)?.into(),
            b"WORKLOAD_NAME" => peer.workload = text_of(value)?.into(),
            b"CLUSTER_ID" => peer.cluster = text_of(value)?.into(),
            b"IDENTITY" => peer.identity = text_of(value)?.into(),
            b"LABELS" => labels(struct_of(value)?, &mut peer)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(peer)
}

fn labels(message: &[u8], peer: &mut Peer) -> Result<(), Malformed> {
    let (mut app, mut version) = ("", "");
    each_entry(message, |key, value| {
        match key {
            b"service.istio.io/canonical-name" => peer.canonical_name = text_of(value)?.into(),
            b"service.istio.io/canonical-revision" => {
                peer.canonical_revision = text_of(value)?.into();
            }
            b"app.kubernetes.io/name" => peer.app = text_of(value)?.into(),
            b"app.kubernetes.io/version" => peer.version = text_of(value)?.into(),
            b"app" => app = text_of(value)?,
            b"version" => version = text_of(value)?,
            _ => {}
        }
        Ok(())
    })?;
    if peer.app.is_empty() {
        peer.app = app.into();
    }
    if peer.version.is_empty() {
        peer.version = version.into();
    }
    Ok(())
}

/// A value that [`write()`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A `Struct`, encoded.
    Struct(Vec<u8>),
}

/// Encodes a `Struct`, its entries in the order of their keys, as deterministic encoders do.
#[must_use]
pub fn write(entries: &BTreeMap<&str, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in entries {
        let mut encoded = Vec::new();
        match value {
            Value::Text(text) => push(3, text.as_bytes(), &mut encoded),
            Value::Struct(bytes) => push(5, bytes, &mut encoded),
        }
        let mut entry = Vec::new();
        push(1, key.as_bytes(), &mut entry);
        push(2, &encoded, &mut entry);
        push(1, &entry, &mut out);
    }
    out
}

/// Adds field `number`, below 16, with these bytes.
pub fn push(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use outrigger_xds_api::google::protobuf::value::Kind;
    use outrigger_xds_api::google::protobuf::{Struct, Value as ValueMessage};
    use prost::Message;

    use super::*;

    fn text(text: &str) -> ValueMessage {
        ValueMessage { kind: Some(Kind::StringValue(text.into())) }
    }

    fn structure<const N: usize>(fields: [(&str, ValueMessage); N]) -> Struct {
        let fields: HashMap<_, _> = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Struct { fields }
    }

    fn message() -> Struct {
        let labels = structure([
            ("service.istio.io/canonical-name", text("reviews")),
            ("app", text("old")),
            ("app.kubernetes.io/name", text("new")),
            ("version", text("v1")),
            ("other", ValueMessage { kind: Some(Kind::BoolValue(true)) }),
        ]);
        structure([
            ("NAMESPACE", text("default")),
            ("WORKLOAD_NAME", text("reviews-v1")),
            ("CLUSTER_ID", ValueMessage { kind: Some(Kind::NumberValue(1.0)) }),
            ("LABELS", ValueMessage { kind: Some(Kind::StructValue(labels)) }),
            ("OWNER", text("kubernetes://")),
        ])
    }

    #[test]
    fn a_struct_that_another_library_wrote_is_read() {
        let peer = read(&message().encode_to_vec()).unwrap();
        assert_eq!([&*peer.namespace, &*peer.workload], ["default", "reviews-v1"]);
        assert_eq!([&*peer.cluster, &*peer.canonical_name], ["", "reviews"]);
        assert_eq!([&*peer.app, &*peer.version], ["new", "v1"], "the qualified label wins");
    }

    #[test]
    fn what_is_written_is_read_by_another_library() {
        let inner = write(&BTreeMap::from([("app", Value::Text("a".repeat(300)))]));
        let entries =
            BTreeMap::from([("LABELS", Value::Struct(inner)), ("A", Value::Text("b".into()))]);
        let labels = structure([("app", text(&"a".repeat(300)))]);
        let labels = ValueMessage { kind: Some(Kind::StructValue(labels)) };
        let expected = structure([("LABELS", labels), ("A", text("b"))]);
        assert_eq!(Struct::decode(&*write(&entries)), Ok(expected));
    }

    #[test]
    fn what_is_cut_off_or_too_large_is_no_peer() {
        let whole = message().encode_to_vec();
        for end in 1..whole.len() {
            // A cut between two entries leaves a shorter struct.
            let cut = whole.get(..end).unwrap();
            assert_eq!(read(cut).is_ok(), Struct::decode(cut).is_ok(), "{end}");
        }
        for bad in
            [&b"\x0b"[..], b"\x00\x00", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xff"]
        {
            assert_eq!(read(bad), Err(Malformed), "{bad:?}");
        }
        let not_utf8 = structure([("NAMESPACE", text("x"))]).encode_to_vec();
        let not_utf8: Vec<_> =
            not_utf8.iter().map(|byte| if *byte == b'x' { 0xff } else { *byte }).collect();
        assert_eq!(read(&not_utf8), Err(Malformed));
        assert_eq!(read(&vec![0x08; MAX_BYTES + 2]), Err(Malformed));
    }
}
