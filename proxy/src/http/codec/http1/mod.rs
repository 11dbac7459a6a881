//! HTTP/1.0 and 1.1, strict on both sides.
//!
//! The codec is sans-I/O: [`head_end`] finds the end of a head in a buffer, [`parse_request`] and
//! [`parse_response`] turn it into our heads and a [`BodyLength`], [`BodyDecoder`] and [`encode`] do the
//! bodies. `server` and `client` move the bytes. There is no leniency: what two parsers could read in two
//! ways is refused (`docs/parity.md` lists where Envoy is laxer).

mod chunked;
mod client;
mod decoder;
pub mod encode;
mod error;
mod framing;
mod request;
mod response;
mod scan;
mod server;
mod wire;

pub use client::{ClientConnection, ClientStream, ResponseLimits};
pub use decoder::{BodyDecoder, Decoded};
pub use error::HeadError;
pub use framing::BodyLength;
pub use request::{ParsedRequest, RequestLimits, is_host, parse_request};
pub use response::{ParsedResponse, parse_response};
pub use scan::{HeadScan, head_end};
pub use server::{OUTPUT_HIGH_WATER, ReadError, ServerConnection};
