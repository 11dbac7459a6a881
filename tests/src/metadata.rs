//! What another proxy of a mesh would say of itself, byte by byte: a peer that knows the format and none of our code.

/// A field of a protobuf message: its number, below 16, a length, and bytes.
pub fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut field = vec![number << 3 | 2];
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

/// An entry of a `google.protobuf.Struct`, with an encoded `Value`.
pub fn entry(key: &str, value: &[u8]) -> Vec<u8> {
    field(1, &[field(1, key.as_bytes()), field(2, value)].concat())
}

/// What another proxy sends before a connection's bytes: magic number, length, `Any` of a `Struct`.
pub fn frame(workload: &str) -> Vec<u8> {
    let metadata = [
        entry("NAMESPACE", &field(3, b"other")),
        entry("WORKLOAD_NAME", &field(3, workload.as_bytes())),
    ];
    let said = [
        entry("x-envoy-peer-metadata", &field(5, &metadata.concat())),
        entry("x-envoy-peer-metadata-id", &field(3, b"sidecar~10.0.0.9~x.other~other.svc")),
    ];
    let any = [field(1, b"type.googleapis.com/google.protobuf.Struct"), field(2, &said.concat())]
        .concat();
    let length = (any.len() as u32).to_be_bytes();
    [&[0x3d, 0x23, 0x04, 0x67][..], &length, &any].concat()
}
