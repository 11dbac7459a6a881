//! Rules 37-46 of the protocol as far as they are the protocol's and not the owner's, and 51-52: lifetimes. Fetch timeouts, warming, the order of
//! the start and what a removal means to traffic (37, 38, 40, 45) are for the owner.

use super::*;

#[test]
fn rule_39_endpoints_that_are_said_again_are_delivered_again() {
    let mut client = Client::new(Mode::Delta);
    client.want(EDS, &["a"]);
    for nonce in ["x", "y"] {
        let update = client.accept(&delta_response(EDS, "1", nonce, &["a"], &[]));
        assert_eq!(names_in(&update), ["a"]);
    }
}

#[test]
fn rule_41_responses_are_taken_in_any_order() {
    let mut client = Client::new(Mode::Sotw);
    for kind in ResourceType::ALL {
        client.want(kind, &["a"]);
    }
    client.sotw();
    for kind in ResourceType::ALL.into_iter().rev() {
        assert_eq!(names_in(&client.accept(&response(kind, "1", "x", &["a"]))), ["a"]);
        assert_eq!(client.sotw_one().type_url, kind.type_url());
    }
}

#[test]
fn rule_42_removals_and_additions_of_a_response_are_one_update() {
    let mut client = Client::new(Mode::Delta);
    client.want(LDS, &["*"]);
    client.accept(&delta_response(LDS, "1", "x", &["old"], &[]));
    let update = client.accept(&delta_response(LDS, "2", "y", &["new"], &["old"]));
    assert_eq!((names_in(&update), &*update.removed), (vec!["new"], [Arc::from("old")].as_slice()));
}

#[test]
fn rule_43_equal_bytes_are_the_same_bytes() {
    for mode in [Mode::Sotw, Mode::Delta] {
        let mut client = Client::new(mode);
        client.want(CDS, &["*"]);
        let mut push = |version: &str, text: &str| match mode {
            Mode::Sotw => {
                let mut response = response(CDS, version, version, &["a"]);
                response.resources[0] = body(CDS, "a", text);
                client.accept(&response)
            }
            Mode::Delta => {
                let mut response = delta_response(CDS, version, version, &["a"], &[]);
                response.resources[0].resource = Some(body(CDS, "a", text));
                client.accept(&response)
            }
        };
        let one = push("1", "text").resources.remove(0);
        let two = push("2", "text").resources.remove(0);
        assert_eq!(&*two.version, "2");
        assert!(std::ptr::eq(&raw const *one.body, &raw const *two.body));
        assert!(Arc::ptr_eq(&one.name, &two.name));
        let three = push("3", "other").resources.remove(0);
        assert_ne!(one.body, three.body);
    }
}

#[test]
fn rule_44_a_removed_cluster_is_delivered_as_removed_at_once() {
    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.accept(&delta_response(CDS, "1", "x", &["a"], &[]));
    let update = client.accept(&delta_response(CDS, "2", "y", &[], &["a"]));
    assert_eq!(update.removed, [Arc::from("a")]);
}

#[test]
fn rule_46_a_secret_may_come_late_and_change() {
    let mut client = Client::new(Mode::Sotw);
    client.want(ResourceType::Secret, &["default"]);
    assert_eq!(client.sotw_one().resource_names, ["default"]);
    for version in ["1", "2"] {
        let update = client.accept(&response(ResourceType::Secret, version, version, &["default"]));
        assert_eq!((names_in(&update), update.extent), (vec!["default"], Extent::Some));
        assert_eq!(client.sotw_one().version_info, version);
    }
}

/// A resource that lives for ten seconds, or the sign that it does.
fn mortal(version: &str, body: Option<Any>) -> api::Resource {
    api::Resource { ttl: lifetime(10), ..wrapped("a", version, body) }
}

fn delta_of(nonce: &str, resource: api::Resource) -> api::DeltaDiscoveryResponse {
    let mut response = delta_response(CDS, "", nonce, &[], &[]);
    response.resources = vec![resource];
    response
}

#[test]
fn rule_51_a_resource_that_is_not_repeated_in_time_is_gone() {
    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.delta_one();
    client.accept(&delta_of("x", mortal("1", Some(body(CDS, "a", "")))));
    assert_eq!(client.mux.next_deadline(), Some(client.now + 10 * SECOND));

    client.now += 9 * SECOND;
    client.accept(&delta_of("y", mortal("2", Some(body(CDS, "a", "")))));
    client.now += 9 * SECOND;
    assert!(client.mux.on_time(client.now).is_empty());
    client.now += SECOND;
    let [update] = client.mux.on_time(client.now).try_into().unwrap();
    assert_eq!((update.kind, &*update.removed), (CDS, [Arc::from("a")].as_slice()));
    assert_eq!((update.extent, client.mux.next_deadline()), (Extent::Some, None));
    assert_eq!(client.held(CDS), []);
}

#[test]
fn rule_51_a_delivery_without_a_lifetime_ends_it_and_a_refused_one_does_not_count() {
    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.accept(&delta_of("x", mortal("1", Some(body(CDS, "a", "")))));
    client.accept(&delta_response(CDS, "2", "y", &["a"], &[]));
    assert_eq!(client.mux.next_deadline(), None);
    client.refuse(&delta_of("z", mortal("3", Some(body(CDS, "a", "")))), &["a"]);
    assert_eq!(client.mux.next_deadline(), None);

    // Nor is there a deadline for what is not held any more.
    client.accept(&delta_of("x", mortal("4", Some(body(CDS, "a", "")))));
    client.accept(&delta_response(CDS, "5", "y", &[], &["a"]));
    assert_eq!(client.mux.next_deadline(), None);
    let mut negative = mortal("6", Some(body(CDS, "a", "")));
    negative.ttl = Some(outrigger_xds_api::google::protobuf::Duration { seconds: -1, nanos: 0 });
    client.accept(&delta_of("x", negative));
    assert_eq!(client.mux.next_deadline(), None);
}

#[test]
fn rule_52_a_sign_of_life_renews_and_is_no_update() {
    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.delta_one();
    client.accept(&delta_of("x", mortal("1", Some(body(CDS, "a", "")))));
    client.delta_one();
    client.now += 5 * SECOND;
    assert!(matches!(client.receive(&delta_of("y", mortal("1", None))), Received::Done));
    assert_eq!(client.mux.next_deadline(), Some(client.now + 10 * SECOND));
    let answer = client.delta_one();
    assert_eq!((&*answer.response_nonce, answer.error_detail), ("y", None));
    // Of another version it is no sign of life, and without a body no cluster.
    assert!(matches!(client.receive(&delta_of("z", mortal("2", None))), Received::Rejected { .. }));
}

#[test]
fn rule_52_with_state_of_the_world_a_sign_of_life_says_that_it_is_there() {
    let mut client = Client::new(Mode::Sotw);
    client.want(CDS, &["*"]);
    client.sotw_one();
    let respond = |nonce: &str, resources: &[api::Resource], names: &[&str]| {
        let mut response = response(CDS, nonce, nonce, names);
        response.resources.extend(resources.iter().map(any::encode));
        response
    };
    client.accept(&respond("1", &[mortal("7", Some(body(CDS, "a", "")))], &["b"]));
    client.sotw_one();
    client.now += 5 * SECOND;
    // Alone it says nothing of others.
    assert!(matches!(client.receive(&respond("2", &[mortal("7", None)], &[])), Received::Done));
    let answer = client.sotw_one();
    assert_eq!((&*answer.version_info, &*answer.response_nonce), ("2", "2"));
    assert_eq!(client.mux.next_deadline(), Some(client.now + 10 * SECOND));
    // Beside others it is one of all that there are.
    let update = client.accept(&respond("3", &[mortal("7", None)], &["c"]));
    assert_eq!((names_in(&update), update.extent), (vec!["c", "a"], Extent::Everything));
    assert_eq!(client.mux.next_deadline(), Some(client.now + 10 * SECOND));
}
