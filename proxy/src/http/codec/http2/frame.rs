//! Frames of HTTP/2 (RFC 9113 §4, §6): heads read and written, and the small frames written whole.

use super::Reason;

/// Length of a frame's head.
pub(super) const HEAD: usize = 9;
/// SETTINGS_MAX_FRAME_SIZE of both ends: the default, and the least that is allowed.
pub(super) const MAX_PAYLOAD: usize = 16 * 1024;
/// What a client says first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest window, and the largest stream.
pub(super) const MAX_31: u32 = 0x7fff_ffff;

/// Types of frames.
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub(super) mod flag {
    pub(in super::super) const ACK: u8 = 1;
    pub(in super::super) const END_STREAM: u8 = 1;
    pub(in super::super) const END_HEADERS: u8 = 4;
    pub(in super::super) const PADDED: u8 = 8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// Identifiers of settings (RFC 9113 §6.5.2).
pub(super) mod setting {
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of payload.
    pub(super) length: usize,
    /// See [`kind`].
    pub(super) kind: u8,
    /// See [`flag`].
    pub(super) flags: u8,
    /// 0 is the connection.
    pub(super) stream: u32,
}

impl Head {
    /// Reads a head from the beginning of `bytes`, if it is there.
    #[must_use]
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes.first_chunk::<HEAD>()?;
        Some(Self {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & MAX_31,
        })
    }

    /// True if a flag is set.
    #[must_use]
    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The head as bytes.
    #[must_use]
    pub(super) fn bytes(&self) -> [u8; HEAD] {
        let [_, l0, l1, l2] = (self.length as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind, self.flags, s0, s1, s2, s3]
    }
}

/// Appends a frame of this payload.
pub(super) fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let head = Head { length: payload.len(), kind, flags, stream };
    out.extend_from_slice(&head.bytes());
    out.extend_from_slice(payload);
}

/// Appends SETTINGS.
pub(super) fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let head = Head { length: 6 * settings.len(), kind: kind::SETTINGS, flags: 0, stream: 0 };
    out.extend_from_slice(&head.bytes());
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends GOAWAY.
pub(super) fn write_goaway(out: &mut Vec<u8>, last: u32, reason: Reason) {
    let head = Head { length: 8, kind: kind::GOAWAY, flags: 0, stream: 0 };
    out.extend_from_slice(&head.bytes());
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&reason.0.to_be_bytes());
}

/// Appends HEADERS of a block that `encode` writes, and CONTINUATION for what does not fit into it.
pub(super) fn write_block(
    out: &mut Vec<u8>,
    stream: u32,
    is_end: bool,
    encode: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    encode(out);
    let end_stream = if is_end { flag::END_STREAM } else { 0 };
    let length = out.len() - start - HEAD;
    let mut rest =
        if length > MAX_PAYLOAD { out.split_off(start + HEAD + MAX_PAYLOAD) } else { Vec::new() };
    let flags = if rest.is_empty() { end_stream | flag::END_HEADERS } else { end_stream };
    let head = Head { length: length.min(MAX_PAYLOAD), kind: kind::HEADERS, flags, stream };
    if let Some(place) = out.get_mut(start..start + HEAD) {
        place.copy_from_slice(&head.bytes());
    }
    while !rest.is_empty() {
        let more = if rest.len() > MAX_PAYLOAD { rest.split_off(MAX_PAYLOAD) } else { Vec::new() };
        let flags = if more.is_empty() { flag::END_HEADERS } else { 0 };
        write(out, kind::CONTINUATION, flags, stream, &rest);
        rest = more;
    }
}

/// The payload without its padding; `None` if the padding is longer than the payload.
#[must_use]
pub(super) fn without_padding(head: Head, payload: &[u8]) -> Option<&[u8]> {
    if !head.has(flag::PADDED) {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(padding))?)
}

/// A payload of exactly four bytes as a number.
#[must_use]
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(payload).ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back() {
        let head = Head { length: 0x01_02_03, kind: 9, flags: 5, stream: MAX_31 };
        assert_eq!(Head::read(&head.bytes()), Some(head));
        assert_eq!(Head::read(&head.bytes()[..8]), None);
    }

    #[test]
    fn a_large_block_goes_on_in_continuations() {
        for (length, frames) in
            [(0, 1), (MAX_PAYLOAD, 1), (MAX_PAYLOAD + 1, 2), (3 * MAX_PAYLOAD, 3)]
        {
            let mut out = vec![7];
            write_block(&mut out, 5, true, |out| out.extend(vec![1; length]));
            let (mut rest, mut seen, mut block) = (&out[1..], 0, 0);
            while let Some(head) = Head::read(rest) {
                assert_eq!(head.kind, if seen == 0 { kind::HEADERS } else { kind::CONTINUATION });
                assert_eq!(head.has(flag::END_STREAM), seen == 0);
                seen += 1;
                assert_eq!(head.has(flag::END_HEADERS), seen == frames);
                block += head.length;
                rest = &rest[HEAD + head.length..];
            }
            assert_eq!((seen, block, rest.len()), (frames, length, 0));
        }
    }

    #[test]
    fn padding_is_taken_off() {
        let head = Head { length: 0, kind: 0, flags: flag::PADDED, stream: 1 };
        assert_eq!(without_padding(head, &[2, b'a', 0, 0]), Some(b"a".as_slice()));
        assert_eq!(without_padding(head, &[0]), Some(b"".as_slice()));
        assert_eq!(without_padding(head, &[]), None);
        assert_eq!(without_padding(head, &[2, 0]), None);
    }
}
