//! HTTP/2 over the `h2` crate, which does frames, HPACK and flow control. Here stand the conversions to our heads, the
//! bodies, and the limits that `h2` leaves to its caller.

mod client;
pub mod convert;
mod guard;
mod server;

pub use client::{ClientStream, failure_of};
pub use guard::FrameGuard;
pub use server::{Refusal, RequestStream, request_head};
