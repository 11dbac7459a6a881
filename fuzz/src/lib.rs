//! What has to hold of every parser of hostile bytes.
//!
//! A target is a function that takes any bytes and panics if a property does not hold of what the proxy makes of them. libFuzzer runs
//! them (`fuzz_targets`), and so do the tests, with the bytes in `corpus` and mutations of them (`tests/replay.rs`). Deliberately
//! absent: a listening proxy; its sockets are the business of `tests`.

mod bootstrap;
mod client_hello;
mod http1;
mod http1_response;
mod http2;
pub mod mutate;
mod path;
mod peer_exchange;
mod peer_metadata;
mod rbac;
mod resources;
mod split;

use mutate::Form;

pub use bootstrap::bootstrap;
pub use client_hello::client_hello;
pub use http1::http1;
pub use http1_response::http1_response;
pub use http2::http2;
pub use path::path;
pub use peer_exchange::peer_exchange;
pub use peer_metadata::peer_metadata;
pub use rbac::rbac;
pub use resources::{encode, resources};

/// A function that must survive any bytes.
#[derive(Debug)]
pub struct Target {
    /// Its name, which is that of its corpus and of its program.
    pub name: &'static str,
    /// Panics if a property does not hold.
    pub run: fn(&[u8]),
    /// What its input looks like, for those who change it.
    pub form: Form,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "path", run: path, form: Form::Text },
    Target { name: "http1", run: http1, form: Form::Text },
    Target { name: "http1_response", run: http1_response, form: Form::Text },
    Target { name: "http2", run: http2, form: Form::Bytes },
    Target { name: "client_hello", run: client_hello, form: Form::Bytes },
    Target { name: "rbac", run: rbac, form: Form::Choices },
    Target { name: "bootstrap", run: bootstrap, form: Form::Text },
    Target { name: "resources", run: resources, form: Form::Message },
    Target { name: "peer_metadata", run: peer_metadata, form: Form::Message },
    Target { name: "peer_exchange", run: peer_exchange, form: Form::Bytes },
];
