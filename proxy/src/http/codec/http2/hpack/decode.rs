//! Header blocks of a peer into fields (RFC 7541 §3, §6).
//!
//! Fields go to a [`Sink`] one by one, as slices of the block, of a table, or of a scratch buffer that the worker's connections share. The sink
//! decides what too much is: the decoder only keeps its table in step.

use std::cell::RefCell;

use outrigger_policy::head::{Id, is_token_byte, is_value_byte};

use super::huffman;
use super::table::{DynamicTable, NameSource, STATIC};

/// SETTINGS_HEADER_TABLE_SIZE of every connection: the default of RFC 9113 §6.5.2.
const TABLE_SIZE: usize = 4096;
/// Longest scratch buffers that are kept.
const SCRATCH_KEPT: usize = 16 * 1024;

/// Takes the fields of a block.
pub(in super::super) trait Sink {
    /// One field, name and value checked for their characters.
    ///
    /// # Errors
    /// If the connection cannot go on.
    fn field(&mut self, id: Id, name: &[u8], value: &[u8]) -> Result<(), Violation>;
}

/// A field that is none of HTTP's: whoever sends it does not speak HTTP/2. (RFC 9113 §8.2.1)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Violation;

/// Why a block ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum BlockError {
    /// The compression is broken.
    Compression,
    /// A field is.
    Field,
}

impl From<Violation> for BlockError {
    fn from(_: Violation) -> Self {
        Self::Field
    }
}

impl From<huffman::BadHuffman> for BlockError {
    fn from(_: huffman::BadHuffman) -> Self {
        Self::Compression
    }
}

/// The decoder of one connection.
#[derive(Debug)]
pub(in super::super) struct Decoder {
    table: DynamicTable,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: DynamicTable::new(TABLE_SIZE) }
    }
}

#[derive(Debug, Default)]
struct Scratch {
    name: Vec<u8>,
    value: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Decoder {
    /// Decodes a whole block.
    ///
    /// # Errors
    /// After an error the table is out of step: the connection is over.
    pub(in super::super) fn decode(
        &mut self,
        block: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), BlockError> {
        SCRATCH.with_borrow_mut(|scratch| {
            let result = self.decode_with(scratch, block, sink);
            scratch.name.clear();
            scratch.name.shrink_to(SCRATCH_KEPT);
            scratch.value.clear();
            scratch.value.shrink_to(SCRATCH_KEPT);
            result
        })
    }

    fn decode_with(
        &mut self,
        scratch: &mut Scratch,
        mut input: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), BlockError> {
        let mut may_resize = true;
        while let Some((&first, rest)) = input.split_first() {
            input = rest;
            if first & 0x80 != 0 {
                let index = integer(first & 0x7f, 0x7f, &mut input)?;
                let (id, name, value) = self.entry(index)?;
                sink.field(id, name, value)?;
            } else if first & 0x40 != 0 {
                let index = integer(first & 0x3f, 0x3f, &mut input)?;
                self.literal(scratch, index, true, &mut input, sink)?;
            } else if first & 0x20 != 0 {
                let limit = integer(first & 0x1f, 0x1f, &mut input)?;
                // RFC 7541 §4.2: only at the beginning of a block.
                if !may_resize || limit > TABLE_SIZE {
                    return Err(BlockError::Compression);
                }
                self.table.set_limit(limit);
                continue;
            } else {
                // Without indexing, and never to be indexed: the same to us, who index nothing.
                let index = integer(first & 0x0f, 0x0f, &mut input)?;
                self.literal(scratch, index, false, &mut input, sink)?;
            }
            may_resize = false;
        }
        Ok(())
    }

    fn entry(&self, index: usize) -> Result<(Id, &[u8], &[u8]), BlockError> {
        let at = index.checked_sub(1).ok_or(BlockError::Compression)?;
        match STATIC.get(at) {
            Some((id, name, value)) => Ok((*id, name.as_bytes(), value.as_bytes())),
            None => self.table.get(at - STATIC.len()).ok_or(BlockError::Compression),
        }
    }

    fn literal(
        &mut self,
        scratch: &mut Scratch,
        index: usize,
        is_indexed: bool,
        input: &mut &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), BlockError> {
        let Scratch { name: name_scratch, value: value_scratch } = scratch;
        let literal = if index == 0 { Some(string(input, name_scratch)?) } else { None };
        let value = string(input, value_scratch)?;
        let (id, name) = match literal {
            Some(name) if is_name(name) => (Id::of(name), name),
            Some(_) => return Err(BlockError::Field),
            None => {
                let (id, name, _) = self.entry(index)?;
                (id, name)
            }
        };
        if !value.iter().all(|byte| is_value_byte(*byte)) {
            // A table that never held it cannot bring it again. Requests can do without such paths, so they end alone.
            if !matches!(name, b":path" | b":authority") || is_indexed {
                return Err(BlockError::Field);
            }
        }
        sink.field(id, name, value)?;
        if is_indexed {
            let source = match (literal, index.checked_sub(STATIC.len() + 1)) {
                (None, Some(dynamic)) => NameSource::Index(dynamic),
                (None, None) => {
                    let (id, name, _) = self.entry_static(index)?;
                    NameSource::Text(id, name.as_bytes())
                }
                (Some(name), _) => NameSource::Text(id, name),
            };
            self.table.insert(source, value);
        }
        Ok(())
    }

    fn entry_static(&self, index: usize) -> Result<(Id, &'static str, &'static str), BlockError> {
        STATIC.get(index.saturating_sub(1)).copied().ok_or(BlockError::Compression)
    }
}

/// A name of HTTP/2: a token without capitals, with a colon in front for what describes the message. (RFC 9113 §8.2)
fn is_name(name: &[u8]) -> bool {
    let token = name.strip_prefix(b":").unwrap_or(name);
    !token.is_empty() && token.iter().all(|byte| is_token_byte(*byte) && !byte.is_ascii_uppercase())
}

/// An integer whose prefix held `first`; `mask` is what the prefix can hold (RFC 7541 §5.1).
fn integer(first: u8, mask: u8, input: &mut &[u8]) -> Result<usize, BlockError> {
    let mut value = usize::from(first);
    if first < mask {
        return Ok(value);
    }
    // Four more bytes are beyond everything that a block can hold.
    for shift in [0, 7, 14, 21] {
        let (&byte, rest) = input.split_first().ok_or(BlockError::Compression)?;
        *input = rest;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(BlockError::Compression)
}

/// A string, plain or decoded into `scratch` (RFC 7541 §5.2).
fn string<'i: 's, 's>(
    input: &mut &'i [u8],
    scratch: &'s mut Vec<u8>,
) -> Result<&'s [u8], BlockError> {
    let (&first, rest) = input.split_first().ok_or(BlockError::Compression)?;
    *input = rest;
    let length = integer(first & 0x7f, 0x7f, input)?;
    let (text, rest) = input.split_at_checked(length).ok_or(BlockError::Compression)?;
    *input = rest;
    if first & 0x80 == 0 {
        return Ok(text);
    }
    scratch.clear();
    huffman::decode(text, scratch)?;
    Ok(scratch)
}

#[cfg(test)]
mod tests;
