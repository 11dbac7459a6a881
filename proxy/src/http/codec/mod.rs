//! From bytes to heads and bodies, and back. Everything behind this module sees only what a codec has validated.

pub mod http1;
pub mod http2;
