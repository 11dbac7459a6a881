//! What control planes say of hosts.

use outrigger_xds::ResourceType;
use outrigger_xds_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
use prost::Message as _;

use super::*;
use crate::config::endpoints;
use crate::upstream::host::EdsHealth;

fn assignment(yaml: &str) -> Result<Assignment, ConfigError> {
    let message: ClusterLoadAssignment = read(yaml);
    let resource = Resource {
        kind: ResourceType::Endpoints,
        name: "c".into(),
        version: "1".into(),
        body: message.encode_to_vec().into(),
    };
    translated(|_, cx| endpoints::from_resource(&resource, &Transports::plain(), cx)).0
}

fn host(address: &str, more: &str) -> String {
    format!(
        "{{endpoint: {{address: {{socket_address: {{address: \"{address}\", port_value: 80}}}}}}, {more}}}"
    )
}

#[test]
fn hosts_have_what_is_said_of_them_or_the_defaults() {
    let full = host("10.0.0.2", "health_status: DRAINING, load_balancing_weight: 5");
    let named = "{endpoint: {address: {pipe: {path: /x}}, hostname: h}}";
    let found = assignment(&format!(
        "{{cluster_name: c, policy: {{overprovisioning_factor: 100, weighted_priority_health: true}}, endpoints: [{{lb_endpoints: [{}, {full}]}}, \
         {{locality: {{region: r, zone: z, sub_zone: s}}, priority: 2, load_balancing_weight: 7, lb_endpoints: [{named}]}}]}}",
        host("10.0.0.1", ""),
    ))
    .unwrap();
    assert_eq!((found.overprovisioning_percent, found.weighted_priority_health), (100, true));
    let [one, two] = found.localities.as_slice() else { panic!() };
    assert_eq!((one.weight, one.priority, two.weight, two.priority), (0, 0, 7, 2));
    let [plain, full] = one.hosts.as_slice() else { panic!() };
    assert_eq!((plain.weight, plain.health, &*plain.hostname), (1, EdsHealth::Unknown, ""));
    assert_eq!((full.weight, full.health), (5, EdsHealth::Draining));
    assert_eq!(full.address.to_string(), "10.0.0.2:80");
    assert_eq!(*plain.locality, Default::default());
    let [piped] = two.hosts.as_slice() else { panic!() };
    assert_eq!((piped.address.to_string(), &*piped.hostname), ("/x".to_owned(), "h"));
    assert_eq!(
        (&*piped.locality.region, &*piped.locality.zone, &*piped.locality.sub_zone),
        ("r", "z", "s")
    );
    assert_eq!(piped.priority, 2);
}

#[test]
fn an_assignment_that_says_nothing_has_no_hosts_and_envoys_defaults() {
    let found = assignment("{cluster_name: c}").unwrap();
    assert!(found.localities.is_empty());
    assert_eq!((found.overprovisioning_percent, found.weighted_priority_health), (140, false));
}

#[test]
fn an_address_that_comes_twice_is_one_host() {
    let found = assignment(&format!(
        "{{cluster_name: c, endpoints: [{{lb_endpoints: [{one}, {two}, {one}]}}, {{priority: 1, lb_endpoints: [{two}, {three}]}}]}}",
        one = host("10.0.0.1", ""),
        two = host("10.0.0.2", ""),
        three = host("10.0.0.3", ""),
    ));
    let counts: Vec<_> = found.unwrap().localities.iter().map(|l| l.hosts.len()).collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn every_state_of_health_is_known_and_no_other() {
    let states = ["UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED"];
    for state in states {
        let host = host("10.0.0.1", &format!("health_status: {state}"));
        let found =
            assignment(&format!("{{cluster_name: c, endpoints: [{{lb_endpoints: [{host}]}}]}}"));
        assert_eq!(found.unwrap().localities[0].hosts[0].health.as_str(), state);
    }
    let host = host("10.0.0.1", "health_status: 6");
    let refused =
        assignment(&format!("{{cluster_name: c, endpoints: [{{lb_endpoints: [{host}]}}]}}"));
    let error = refused.unwrap_err();
    assert_eq!(error.path, "endpoints[0].lb_endpoints[0].health_status");
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let resource = Resource {
        kind: ResourceType::Endpoints,
        name: "c".into(),
        version: "1".into(),
        body: vec![0xff].into(),
    };
    let found = translated(|_, cx| endpoints::from_resource(&resource, &Transports::plain(), cx)).0;
    assert!(found.is_err());
    let cluster = Resource { kind: ResourceType::Cluster, ..resource };
    assert!(translated(|_, cx| from_resource(&cluster, cx)).0.is_err());
}
