//! Heads of messages: what every policy, filter, formatter and codec of the proxy sees of a request or
//! a response. There is one representation, so that what was authorized is what was routed, logged and
//! sent on (`Head` never holds anything that its codec did not validate).

mod headers;
mod name;
mod request;
mod response;

pub use headers::{Headers, tokens};
pub use name::{Id, Name, is_token_byte, is_value_byte};
pub use request::{Protocol, RequestHead, Scheme};
pub use response::{ResponseHead, reason_phrase};
