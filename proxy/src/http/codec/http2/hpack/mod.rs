//! HPACK, the header compression of HTTP/2 (RFC 7541): bytes in, fields out, and back.
//!
//! The decoder does all of the RFC. The encoder knows the static table only and writes strings plain: a proxy on the same
//! host, or in the same mesh, pays more for compression than for the bytes.

mod decode;
mod encode;
mod huffman;
mod table;

pub(super) use decode::{BlockError, Decoder, Sink, Violation};
pub(super) use encode::{NO_TABLE, request, response, trailers};
pub(super) use table::ENTRY_OVERHEAD;
