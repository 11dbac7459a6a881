//! Which route a request takes and what the route makes of it: another path, another host, an answer of
//! its own, or one of several clusters.
//!
//! Everything here is compiled from a route configuration and read-only. The proxy's route stage calls
//! [`RouteTable::find`] and pins the route; the filters and the upstream stages use the rest. Header
//! operations, timeouts, retries and filters of a route are the caller's payload, unknown here.

mod action;
mod byte_map;
mod domains;
mod index;
mod matcher;
mod path;
mod prefix_map;
mod redirect;
mod split;
mod table;
#[cfg(test)]
mod tests;

pub use action::{Action, Choice, DirectResponse, DirectResponseError, Target};
pub use matcher::{PathRule, PathText, RouteMatch};
pub use path::{HostRewrite, PathRewrite};
pub use redirect::{PathRedirect, Redirect, RedirectCode, https_location};
pub use split::{Split, SplitError};
pub use table::{
    Lookup, Route, RouteTable, RouteTableError, RouteTableSpec, TlsRequirement, VirtualHost,
    VirtualHostSpec,
};
