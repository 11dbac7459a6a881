//! Names of a living cluster: it is warm once the first was resolved, or could not be.

use std::rc::Weak;
use std::time::Duration;

use tokio::task::LocalSet;

use super::*;
use crate::config::{ClusterHandle, Environment, Runtime};
use crate::telemetry::metrics::{ClusterStat, StatsSpec};
use crate::upstream::dns::{Resolver, watch};

/// The addresses that a cluster gets from a name, and its counts of attempts, successes and failures.
async fn resolved(kind: &str, name: &str) -> (Vec<String>, [u64; 3]) {
    let registry = Registry::new(StatsSpec::default(), 1).unwrap();
    let environment = Arc::new(Environment::new(registry, Runtime::default()));
    let spec = spec(&format!(
        "{{name: c, type: {kind}, dns_lookup_family: V4_ONLY, load_assignment: {{cluster_name: c, endpoints: [{{lb_endpoints: \
         [{{endpoint: {{address: {{socket_address: {{address: \"{name}\", port_value: 80}}}}}}}}]}}]}}}}"
    ));
    let handle = ClusterHandle::new(spec, None, &environment);
    assert!(!handle.is_warm());
    let waits = async {
        watch(&Resolver::default(), &handle, &Weak::new());
        while !handle.is_warm() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let local = LocalSet::new();
    let waits = local.run_until(waits);
    tokio::time::timeout(Duration::from_secs(30), waits).await.unwrap();
    let hosts = handle.cluster().hosts().load();
    let stats = handle.stats();
    let counters =
        [ClusterStat::update_attempt, ClusterStat::update_success, ClusterStat::update_failure];
    let addresses = hosts.hosts.iter().map(|host| host.address.to_string());
    (addresses.collect(), counters.map(|counter| stats.count(counter)))
}

#[tokio::test]
async fn a_cluster_has_the_hosts_that_its_name_resolves_to() {
    for kind in ["STRICT_DNS", "LOGICAL_DNS"] {
        for name in ["localhost", "127.0.0.1"] {
            let expected = (vec!["127.0.0.1:80".to_owned()], [1, 1, 0]);
            assert_eq!(resolved(kind, name).await, expected, "{kind} {name}");
        }
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_leaves_the_cluster_without_hosts() {
    for kind in ["STRICT_DNS", "LOGICAL_DNS"] {
        assert_eq!(resolved(kind, "a..b").await, (Vec::new(), [1, 0, 1]), "{kind}");
    }
}
