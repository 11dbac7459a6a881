//! The body of one message, of whatever length.

use outrigger_policy::head::{Headers, Id};

use super::chunked::{ChunkedDecoder, Step};
use super::error::HeadError;
use super::framing::BodyLength;

/// Bytes of trailers that a message may have.
const TRAILER_LIMIT: usize = 16 * 1024;

/// Takes a body out of the bytes of a connection.
#[derive(Debug, Default)]
pub struct BodyDecoder {
    kind: Kind,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Done,
    Exact(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
}

/// Lines that say how a message is read or where it goes: as trailers they would fool a reader that adds them to the head.
/// (RFC 9110 §6.5.1)
const fn is_framing(id: Id) -> bool {
    matches!(
        id,
        Id::HOST
            | Id::CONTENT_LENGTH
            | Id::TRANSFER_ENCODING
            | Id::CONNECTION
            | Id::KEEP_ALIVE
            | Id::UPGRADE
            | Id::TE
    )
}

/// What stands at the start of the input.
#[derive(Debug)]
pub enum Decoded {
    /// All input was consumed without data; more is needed.
    NeedMore,
    /// After `skip` bytes of framing stand `len` bytes of the body.
    Data {
        /// Bytes of framing.
        skip: usize,
        /// Bytes of body.
        len: usize,
    },
    /// The body ended after so many bytes, perhaps with trailers.
    End {
        /// Bytes of framing.
        skip: usize,
        /// Trailers of a chunked body.
        trailers: Option<Headers>,
    },
}

impl BodyDecoder {
    /// A decoder at the start of a body.
    #[must_use]
    pub fn new(length: BodyLength) -> Self {
        let kind = match length {
            BodyLength::Exact(0) => Kind::Done,
            BodyLength::Exact(length) => Kind::Exact(length),
            BodyLength::Chunked => Kind::Chunked(Box::new(ChunkedDecoder::new(TRAILER_LIMIT))),
            BodyLength::UntilClose => Kind::UntilClose,
        };
        Self { kind }
    }

    /// True once the end was seen.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.kind, Kind::Done)
    }

    /// Looks at the start of `input`, which the caller consumes as told.
    ///
    /// # Errors
    /// For a malformed chunk or trailer.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, HeadError> {
        match &mut self.kind {
            Kind::Done => Ok(Decoded::End { skip: 0, trailers: None }),
            Kind::UntilClose | Kind::Exact(_) if input.is_empty() => Ok(Decoded::NeedMore),
            Kind::UntilClose => Ok(Decoded::Data { skip: 0, len: input.len() }),
            Kind::Exact(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= len as u64;
                if *left == 0 {
                    self.kind = Kind::Done;
                }
                Ok(Decoded::Data { skip: 0, len })
            }
            Kind::Chunked(decoder) => match decoder.step(input)? {
                Step::NeedMore => Ok(Decoded::NeedMore),
                Step::Data { skip, data } => Ok(Decoded::Data { skip, len: data }),
                Step::End { skip } => {
                    let mut trailers = decoder.take_trailers();
                    trailers.retain(|_, id, _| !is_framing(id));
                    let trailers = Some(trailers).filter(|t| !t.is_empty());
                    self.kind = Kind::Done;
                    Ok(Decoded::End { skip, trailers })
                }
            },
        }
    }

    /// The connection ended: fine only for a body that lasts until then.
    ///
    /// # Errors
    /// If the body was cut short.
    pub fn end_of_input(&mut self) -> Result<(), HeadError> {
        match self.kind {
            Kind::Done => Ok(()),
            Kind::UntilClose => {
                self.kind = Kind::Done;
                Ok(())
            }
            Kind::Exact(_) | Kind::Chunked(_) => Err(HeadError::Body),
        }
    }
}
