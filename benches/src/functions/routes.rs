//! The route of a request among many of one virtual host: the table of a gateway, where every service has its prefix.

use std::sync::Arc;

use anyhow::Result;
use outrigger::http::filters::FilterOverrides;
use outrigger::http::route::{ForwardPolicy, Route, RouteEntry, RouteTable, TargetCluster};
use outrigger_policy::head::RequestHead;
use outrigger_policy::route::{
    Action, Lookup, PathRule, PathText, RouteMatch, RouteTableSpec, Target, TlsRequirement,
    VirtualHostSpec,
};

/// A table, and a request that takes its last route.
pub struct Routes {
    table: RouteTable,
    head: RequestHead,
}

impl Routes {
    /// A table of `count` routes.
    ///
    /// # Errors
    /// If the table does not compile.
    pub fn new(count: usize) -> Result<Self> {
        let cluster = Arc::new(TargetCluster {
            name: "up".into(),
            header_ops: None,
            host_rewrite: None,
            overrides: Arc::default(),
        });
        let virtual_host: Arc<str> = "all".into();
        let overrides = Arc::new(FilterOverrides::default());
        let route = |index: usize| Route {
            name: format!("route-{index}"),
            matcher: RouteMatch::on(PathRule::Prefix(PathText::new(&prefix(index), true))),
            payload: RouteEntry {
                name: format!("route-{index}").into(),
                virtual_host: virtual_host.clone(),
                action: Action::Forward(Target::Cluster(cluster.clone())),
                header_ops: Vec::new(),
                most_specific_wins: false,
                overrides: overrides.clone(),
                forward: ForwardPolicy::default(),
                stats: None,
                operation: None,
                metadata: None,
            },
        };
        let table = RouteTable::new(RouteTableSpec {
            name: "routes".into(),
            ignore_port_in_host_matching: false,
            internal_only_headers: Vec::new(),
            virtual_hosts: vec![VirtualHostSpec {
                name: "all".into(),
                domains: vec!["*".into()],
                require_tls: TlsRequirement::None,
                routes: (0..count).map(route).collect(),
            }],
        })?;
        let path = format!("{}items/7?page=2", prefix(count.saturating_sub(1)));
        let head = RequestHead::new(b"GET", b"items.shop.svc.cluster.local", path.as_bytes());
        Ok(Self { table, head })
    }

    /// The name of the route that the request takes.
    #[must_use]
    pub fn find(&self) -> Option<&str> {
        match self.table.find(&self.head, 7) {
            Lookup::Matched { route, .. } => Some(&route.name),
            _ => None,
        }
    }
}

fn prefix(index: usize) -> String {
    format!("/team-{}/service-{index}/", index % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_route_is_found() {
        for count in [1, 10, 1_000, 10_000] {
            let routes = Routes::new(count).unwrap();
            assert_eq!(routes.find(), Some(&*format!("route-{}", count - 1)));
        }
    }
}
