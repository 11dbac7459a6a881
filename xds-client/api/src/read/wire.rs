//! The wire form of protobuf, as far as writing needs it.
//!
//! `DynamicMessage` would do the same, but holds maps in random order: the same file would give other
//! bytes each time.

use prost::encoding::{WireType, encode_key, encode_varint};

/// A whole number. Negative ones have ten bytes.
pub(super) fn varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value, out);
}

/// A value of four bytes.
pub(super) fn four(number: u32, value: [u8; 4], out: &mut Vec<u8>) {
    encode_key(number, WireType::ThirtyTwoBit, out);
    out.extend(value);
}

/// A value of eight bytes.
pub(super) fn eight(number: u32, value: [u8; 8], out: &mut Vec<u8>) {
    encode_key(number, WireType::SixtyFourBit, out);
    out.extend(value);
}

/// Text, bytes or a message.
pub(super) fn bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend(value);
}
