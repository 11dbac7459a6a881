//! What the module as a whole promises: exact counts under threads, and Envoy's output.

mod exactness;
mod fed;
mod parity;
