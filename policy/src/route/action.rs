//! What a route does with a request: forward it to one of its clusters, send the client elsewhere, or
//! answer at once. (envoy: config.route.v3.Route.action)
//!
//! Clusters are of a type `C` of the caller's: a handle, a name, or either with the header operations of
//! a weighted cluster. Whether a cluster exists is the caller's to find out.

use super::matcher::PathRule;
use super::redirect::Redirect;
use super::split::Split;
use crate::head::{Name, RequestHead};

#[cfg(test)]
mod tests;

/// What a route does.
#[derive(Clone, Debug)]
pub enum Action<C> {
    /// Send the request on.
    Forward(Target<C>),
    /// Send the client elsewhere.
    Redirect(Redirect),
    /// Answer.
    DirectResponse(DirectResponse),
}

/// Which cluster a request is sent to. (envoy: config.route.v3.RouteAction.cluster_specifier)
#[derive(Clone, Debug)]
pub enum Target<C> {
    /// This one.
    Cluster(C),
    /// The one named by the first line of this header.
    Header(Name),
    /// One of several.
    Weighted {
        /// The clusters.
        split: Split<C>,
        /// A header that brings the random value with it.
        /// (envoy: config.route.v3.WeightedCluster.header_name)
        header_name: Option<Name>,
    },
}

/// The cluster for one request.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice<'a, C> {
    /// A configured one.
    Cluster(&'a C),
    /// The one of this name; empty, which names none, if the request has no such header.
    Named(&'a [u8]),
}

/// An answer of the proxy's own. (envoy: config.route.v3.DirectResponseAction)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    status: u16,
    body: Box<[u8]>,
}

/// A direct response cannot be given. The second text is Envoy's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectResponseError {
    /// The status is not a final one.
    #[error("direct response status {0} is not inside [200, 600)")]
    Status(u32),
    /// The body is longer than `max_direct_response_body_size_bytes`.
    #[error("response body size is {size} bytes; maximum is {limit}")]
    Body {
        /// Length of the body in bytes.
        size: usize,
        /// The limit in bytes.
        limit: u32,
    },
}

impl<C> Target<C> {
    /// The cluster for a request; `random` is the request's own, as for the look-up of its route.
    #[must_use]
    pub fn choose<'a>(&'a self, head: &'a RequestHead, random: u64) -> Choice<'a, C> {
        match self {
            Self::Cluster(cluster) => Choice::Cluster(cluster),
            Self::Header(name) => Choice::Named(head.header(name).unwrap_or_default()),
            Self::Weighted { split, header_name } => {
                let brought = header_name.as_ref().and_then(|name| brought_value(head, name));
                Choice::Cluster(split.pick(brought.unwrap_or(random)))
            }
        }
    }
}

/// The number in the only line of `name`: a repeated header brings none.
fn brought_value(head: &RequestHead, name: &Name) -> Option<u64> {
    let mut values = head.values(name);
    let value = values.next().filter(|_| values.next().is_none());
    std::str::from_utf8(value?).ok()?.parse().ok()
}

impl DirectResponse {
    /// An answer of `status` with a body of at most `limit` bytes.
    /// (envoy: config.route.v3.RouteConfiguration.max_direct_response_body_size_bytes)
    ///
    /// # Errors
    /// If the status is not in 200 to 599 or the body is too long.
    pub fn new(
        status: u32,
        body: impl Into<Box<[u8]>>,
        limit: u32,
    ) -> Result<Self, DirectResponseError> {
        let (code, body) = (u16::try_from(status).unwrap_or(0), body.into());
        if !(200..600).contains(&code) {
            return Err(DirectResponseError::Status(status));
        }
        if u32::try_from(body.len()).is_ok_and(|size| size <= limit) {
            return Ok(Self { status: code, body });
        }
        Err(DirectResponseError::Body { size: body.len(), limit })
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body, `text/plain` unless the route adds another `content-type`.
    #[must_use]
    pub const fn body(&self) -> &[u8] {
        &self.body
    }

    /// Value of `location`: Envoy gives a 201 and every 3xx the request's own address.
    #[must_use]
    pub fn location(&self, head: &RequestHead) -> Option<Vec<u8>> {
        match self.status {
            // Nothing is rewritten, so no rule is looked at.
            201 | 300..=399 => Redirect::default().location(head, &PathRule::Connect),
            _ => None,
        }
    }
}
