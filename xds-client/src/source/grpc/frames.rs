//! Messages in a stream of bytes: a flag, a length, and so many bytes. (gRPC over HTTP/2, "Length-Prefixed-Message")
//!
//! What is buffered is what has arrived, never what was announced, and a message above the limit is refused when its length is known.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::status::Status;

/// The flag and the length.
const PREFIX: usize = 5;

/// Above this, what follows a message is not left in its buffer, which would stay alive with it.
const SHARED_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Frames {
    buffer: BytesMut,
    limit: usize,
}

impl Frames {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Takes bytes in. Ask for messages until there is none before adding more.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message that is complete.
    ///
    /// # Errors
    /// If it is too large, or compressed, which nobody offered.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(mut prefix) = self.buffer.get(..PREFIX) else { return Ok(None) };
        let flag = prefix.get_u8();
        let length = prefix.get_u32() as usize;
        if flag != 0 {
            return Err(Status::internal(
                "a compressed message, though no compression was offered",
            ));
        }
        if length > self.limit {
            return Err(Status::too_large(length, self.limit));
        }
        if self.buffer.len() - PREFIX < length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let message = self.buffer.split_to(length).freeze();
        if length > SHARED_BYTES_MAX {
            self.buffer = BytesMut::from(&*self.buffer);
        }
        Ok(Some(message))
    }

    /// True if there is the beginning of a message.
    pub(super) fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// The message as it is sent.
pub(super) fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    // A request of four gigabytes would be cut; nobody subscribes to that many names.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let messages = [vec![], vec![1; 3], vec![2; 100_000], vec![3; 1], vec![]];
        let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
        for chunk in [1, 4, 5, 6, 1000, 70_000, stream.len()] {
            let mut frames = Frames::new(100_000);
            let mut found = Vec::new();
            for bytes in stream.chunks(chunk) {
                frames.push(bytes);
                while let Some(message) = frames.next().unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, messages);
            assert!(!frames.is_partial());
        }
    }

    #[test]
    fn a_message_above_the_limit_is_refused_by_its_length_alone() {
        let mut frames = Frames::new(10);
        frames.push(&[0, 0, 0, 0, 11]);
        assert_eq!(frames.next().unwrap_err().code, 8);
        let mut frames = Frames::new(usize::MAX);
        frames.push(&[0, 0xff, 0xff, 0xff, 0xff, 1]);
        assert_eq!(frames.next(), Ok(None));
        assert!(frames.buffer.capacity() < 1024 && frames.is_partial());
    }

    #[test]
    fn compression_is_refused() {
        let mut frames = Frames::new(10);
        frames.push(&[1, 0, 0, 0, 1, 0]);
        assert_eq!(frames.next().unwrap_err().code, 13);
    }
}
