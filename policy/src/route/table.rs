//! The route of a request: virtual host by authority, then the first route that matches.
//! (envoy: config.route.v3.RouteConfiguration)
//!
//! Compiled once per route configuration, read by every request of a listener. What a route does is the
//! payload `R` of the caller, to whom the table is only the order of things. A request may keep the
//! `Arc` of its route beyond the life of the table. No route of another virtual host is ever tried.

use std::sync::Arc;

use super::domains::{DomainError, Domains, without_port};
use super::index::RouteIndex;
use super::matcher::{RouteMatch, path_of};
use super::redirect::came_by_tls;
use crate::head::{Id, Name, RequestHead};

/// What a [`RouteTable`] is compiled from.
#[derive(Clone, Debug)]
pub struct RouteTableSpec<R> {
    /// Name of the route configuration.
    pub name: String,
    /// Look the authority up without its port. A domain that has a port is then never found.
    pub ignore_port_in_host_matching: bool,
    /// Headers that only requests from inside may have: the caller takes them off all others before it
    /// looks for the route. (envoy: config.route.v3.RouteConfiguration.internal_only_headers)
    pub internal_only_headers: Vec<Name>,
    /// In any order.
    pub virtual_hosts: Vec<VirtualHostSpec<R>>,
}

/// What a [`VirtualHost`] is compiled from.
#[derive(Clone, Debug)]
pub struct VirtualHostSpec<R> {
    /// For statistics and explanations; need not be unique.
    pub name: String,
    /// `foo.com`, `*.foo.com`, `foo.*` or `*`.
    pub domains: Vec<String>,
    /// Which requests must have come by TLS.
    pub require_tls: TlsRequirement,
    /// The first that matches wins.
    pub routes: Vec<Route<R>>,
}

/// Which requests must have come by TLS. (envoy: config.route.v3.VirtualHost.TlsRequirementType)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsRequirement {
    /// None.
    #[default]
    None,
    /// Those that did not come from inside: `x-envoy-internal` is not `true`.
    ExternalOnly,
    /// All.
    All,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route<R> {
    /// For logs; may be empty.
    pub name: String,
    /// Which requests take it.
    pub matcher: RouteMatch,
    /// What is done with them.
    pub payload: R,
}

/// The routes for some domains.
#[derive(Debug)]
pub struct VirtualHost<R> {
    name: String,
    require_tls: TlsRequirement,
    routes: Box<[Arc<Route<R>>]>,
    index: Option<RouteIndex>,
}

/// A compiled route configuration.
#[derive(Debug)]
pub struct RouteTable<R> {
    name: String,
    ignore_port: bool,
    internal_only_headers: Box<[Name]>,
    domains: Domains,
    virtual_hosts: Box<[Arc<VirtualHost<R>>]>,
}

/// What the table says about a request.
#[derive(Debug)]
pub enum Lookup<'t, R> {
    /// This route takes it.
    Matched {
        /// The virtual host of the route.
        virtual_host: &'t Arc<VirtualHost<R>>,
        /// The route.
        route: &'t Arc<Route<R>>,
    },
    /// It must come again by TLS, whatever route it would take: [`super::https_location`].
    TlsRequired {
        /// The virtual host that demands it.
        virtual_host: &'t Arc<VirtualHost<R>>,
    },
    /// No route of its virtual host matches: 404, flag `NR`.
    NoRoute {
        /// The virtual host.
        virtual_host: &'t Arc<VirtualHost<R>>,
    },
    /// No virtual host serves its authority: 404, flag `NR`.
    NoVirtualHost,
}

/// A route configuration cannot be served. The first two texts are Envoy's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteTableError {
    /// Two virtual hosts have the domain `*`.
    #[error("Only a single wildcard domain is permitted in route {route}")]
    DuplicateWildcard {
        /// The route configuration.
        route: String,
    },
    /// A domain stands twice, with or without regard to case.
    #[error(
        "Only unique values for domains are permitted. Duplicate entry of domain {domain} in route {route}"
    )]
    DuplicateDomain {
        /// The domain in lower case.
        domain: String,
        /// The route configuration.
        route: String,
    },
    /// A domain is longer than any authority of DNS. Envoy takes it, and it never matches a name.
    #[error("domain {domain} in route {route} is longer than a DNS name with a port")]
    LongDomain {
        /// The domain in lower case.
        domain: String,
        /// The route configuration.
        route: String,
    },
}

impl<R> RouteTable<R> {
    /// Compiles a route configuration.
    ///
    /// # Errors
    /// If a domain stands twice or is too long.
    pub fn new(spec: RouteTableSpec<R>) -> Result<Self, RouteTableError> {
        let RouteTableSpec {
            name,
            ignore_port_in_host_matching: ignore_port,
            internal_only_headers,
            virtual_hosts,
        } = spec;
        let named = virtual_hosts.iter().enumerate().flat_map(|(index, host)| {
            host.domains.iter().map(move |domain| (domain.as_str(), index))
        });
        let domains = Domains::new(named).map_err(|error| {
            let route = name.clone();
            match error {
                DomainError::Duplicate(domain) if domain == "*" => {
                    RouteTableError::DuplicateWildcard { route }
                }
                DomainError::Duplicate(domain) => {
                    RouteTableError::DuplicateDomain { domain, route }
                }
                DomainError::TooLong(domain) => RouteTableError::LongDomain { domain, route },
            }
        })?;
        let virtual_hosts =
            virtual_hosts.into_iter().map(|spec| Arc::new(VirtualHost::new(spec))).collect();
        let internal_only_headers = internal_only_headers.into();
        Ok(Self { name, ignore_port, internal_only_headers, domains, virtual_hosts })
    }

    /// Name of the route configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Headers that only requests from inside may have.
    #[must_use]
    pub const fn internal_only_headers(&self) -> &[Name] {
        &self.internal_only_headers
    }

    /// All virtual hosts, in the order of configuration.
    #[must_use]
    pub fn virtual_hosts(&self) -> &[Arc<VirtualHost<R>>] {
        &self.virtual_hosts
    }

    /// The virtual host for an authority as received.
    #[must_use]
    pub fn virtual_host(&self, authority: &[u8]) -> Option<&Arc<VirtualHost<R>>> {
        let host = if self.ignore_port { without_port(authority) } else { authority };
        self.domains.find(host).and_then(|index| self.virtual_hosts.get(index))
    }

    /// The route that the request takes. `random` is drawn once per request, so that repeated look-ups
    /// agree. Allocates nothing.
    #[must_use]
    pub fn find(&self, head: &RequestHead, random: u64) -> Lookup<'_, R> {
        let Some(virtual_host) = head.authority().and_then(|host| self.virtual_host(host)) else {
            return Lookup::NoVirtualHost;
        };
        if virtual_host.demands_tls(head) {
            return Lookup::TlsRequired { virtual_host };
        }
        match virtual_host.find(head, random) {
            Some(route) => Lookup::Matched { virtual_host, route },
            None => Lookup::NoRoute { virtual_host },
        }
    }
}

impl<R> VirtualHost<R> {
    fn new(spec: VirtualHostSpec<R>) -> Self {
        let VirtualHostSpec { name, domains: _, require_tls, routes } = spec;
        let index = RouteIndex::new(routes.iter().map(|route| &route.matcher.path));
        Self { name, require_tls, routes: routes.into_iter().map(Arc::new).collect(), index }
    }

    /// Name of the virtual host.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its routes, in order.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route<R>>] {
        &self.routes
    }

    #[cfg(test)]
    pub(super) const fn is_indexed(&self) -> bool {
        self.index.is_some()
    }

    fn demands_tls(&self, head: &RequestHead) -> bool {
        let internal = || head.headers.get(Id::X_ENVOY_INTERNAL) == Some(b"true");
        match self.require_tls {
            TlsRequirement::None => false,
            TlsRequirement::ExternalOnly => !came_by_tls(head) && !internal(),
            TlsRequirement::All => !came_by_tls(head),
        }
    }

    fn find(&self, head: &RequestHead, random: u64) -> Option<&Arc<Route<R>>> {
        let path = path_of(head);
        let matches = |route: &Arc<Route<R>>| route.matcher.matches_path(head, path, random);
        match &self.index {
            None => self.routes.iter().find(|route| matches(route)),
            Some(index) => {
                let accept = |at| self.routes.get(at).is_some_and(matches);
                index.find(path.unwrap_or_default(), accept).and_then(|at| self.routes.get(at))
            }
        }
    }
}
