//! Hosts that are where requests were going.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use outrigger_policy::head::RequestHead;

use super::*;
use crate::telemetry::metrics::{ClusterStat, StatsSpec};

fn built(more: &str) -> (Arc<Cluster>, Arc<Registry>) {
    let registry = Registry::new(StatsSpec::default(), 1).unwrap();
    let yaml = format!("{{name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, {more}}}");
    (spec(&yaml).build(&registry), registry)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_host_is_made_once_and_goes_when_nobody_uses_it() {
    let (cluster, registry) = built("cleanup_interval: 0.001s");
    let stats = registry.stats::<ClusterStat>("cluster.c.");
    let hosts = cluster.destinations().unwrap();
    let [one, other] = ["10.0.0.1:80", "[fd00::1]:80"].map(address);
    let host = hosts.host(&cluster, one).unwrap();
    assert!(Arc::ptr_eq(&host, &hosts.host(&cluster, one).unwrap()));
    let used = hosts.host(&cluster, other).unwrap();
    used.counters.cx_active.fetch_add(1, Relaxed);
    assert_eq!((cluster.all_hosts().len(), stats.level(ClusterStat::membership_total)), (2, 2));
    let expire = || {
        std::thread::sleep(Duration::from_millis(2));
        hosts.expire(&cluster);
    };
    expire();
    assert_eq!(cluster.all_hosts().len(), 2, "both were asked for since the last time");
    host.touch();
    expire();
    assert!(!host.is_retired());
    expire();
    assert!(host.is_retired() && !used.is_retired());
    assert_eq!((cluster.all_hosts().len(), stats.level(ClusterStat::membership_total)), (1, 1));
    cluster.retire();
    assert!(used.is_retired() && cluster.all_hosts().is_empty());
    assert!(hosts.host(&cluster, one).is_none(), "a cluster that is gone gets no more");
}

#[test]
fn there_are_so_many_and_no_more() {
    let (cluster, _registry) = built("cleanup_interval: 9223372035s");
    let hosts = cluster.destinations().unwrap();
    let nth = |n: u32| SocketAddr::from((n.to_be_bytes(), 80));
    for n in 0..65_536 {
        let host = hosts.host(&cluster, nth(n)).unwrap();
        if n == 7 {
            host.counters.rq_active.fetch_add(1, Relaxed);
        }
    }
    assert!(hosts.host(&cluster, nth(70_000)).is_none(), "all were just asked for");
    let found = hosts.host(&cluster, nth(70_000));
    assert!(found.is_some(), "nobody has used them since");
    let left: Vec<_> = cluster.all_hosts().iter().map(|h| h.address.clone()).collect();
    assert!(left.len() == 2 && left.contains(&nth(7).into()));
}

#[test]
fn a_header_may_name_the_address_and_the_configuration_the_port() {
    let (cluster, registry) =
        built("original_dst_lb_config: {use_http_header: true, upstream_port_override: 81}");
    let hosts = cluster.destinations().unwrap();
    let name = b"x-envoy-original-dst-host".as_slice();
    let asked = |value: Option<&str>| {
        let mut head = RequestHead::new(b"GET", b"a", b"/");
        if let Some(value) = value {
            head.headers.append(name, value.as_bytes());
        }
        let of_connection = Some(address("10.0.0.9:1"));
        hosts.of_request(&cluster, &head, of_connection).map(|found| hosts.target(found))
    };
    assert_eq!(asked(None), Some(address("10.0.0.9:81")));
    assert_eq!(asked(Some("10.0.0.1:80")), Some(address("10.0.0.1:81")));
    assert_eq!(asked(Some("localhost:80")), Some(address("10.0.0.9:81")));
    let stats = registry.stats::<ClusterStat>("cluster.c.");
    assert_eq!(stats.count(ClusterStat::original_dst_host_invalid), 1);
}
