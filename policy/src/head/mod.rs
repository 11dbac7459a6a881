//! Heads of messages: what every policy, filter, formatter and codec of the proxy sees of a request or
//! a response. There is one representation, so that what was authorized is what was routed, logged and
//! sent on (`Head` never holds anything that its codec did not validate).

mod headers;
mod name;
mod request;
mod response;

pub use headers::{Headers, integer, tokens};
pub use name::{Id, Name, is_token_byte, is_value_byte};
pub use request::{Protocol, RequestHead, Scheme};
pub use response::{ResponseHead, reason_phrase};

/// What a header matcher looks at: the lines of a request or a response, pseudo-headers included.
pub trait Fields {
    /// All values of `name`, in order.
    fn values<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]>;
}

impl Fields for RequestHead {
    fn values<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.values(name)
    }
}

impl Fields for ResponseHead {
    fn values<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        let status = (name.as_str() == ":status").then(|| self.status_text());
        status.into_iter().chain(self.headers.get_all(name))
    }
}
