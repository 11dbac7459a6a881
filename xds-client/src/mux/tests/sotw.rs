//! Rules 1-21 of the protocol: requests, answers, nonces and versions; state of the world unless the rule is about both.

use super::*;

const BOTH: [Mode; 2] = [Mode::Sotw, Mode::Delta];

/// Subscribed to all clusters, the first request sent.
fn clusters() -> Client {
    let mut client = Client::new(Mode::Sotw);
    client.want(CDS, &["*"]);
    client.sotw_one();
    client
}

/// Version, nonce, and whether it says an error.
fn gist(request: &api::DiscoveryRequest) -> (&str, &str, bool) {
    (&request.version_info, &request.response_nonce, request.error_detail.is_some())
}

#[test]
fn rule_01_the_first_request_of_a_type_says_who_asks_and_no_version_and_no_nonce() {
    let mut client = Client::new(Mode::Sotw);
    client.want(RDS, &["b", "a"]);
    let request = client.sotw_one();
    assert_eq!(gist(&request), ("", "", false));
    assert_eq!(request.node.unwrap().id, "node");
    assert_eq!(request.resource_names, ["a", "b"]);
    assert_eq!(request.type_url, "type.googleapis.com/envoy.config.route.v3.RouteConfiguration");
}

#[test]
fn rule_02_the_node_is_said_once_in_a_stream_or_every_time() {
    for (mode, once) in BOTH.into_iter().flat_map(|mode| [(mode, true), (mode, false)]) {
        let mut client = Client::new(mode);
        client.mux.identity.on_first_message_only = once;
        client.want(CDS, &["*"]);
        client.want(LDS, &["*"]);
        for _ in 0..2 {
            let mut has_node = Vec::new();
            while let Some(request) = client.mux.next_request() {
                has_node.push(match request {
                    Request::Sotw(request) => request.node.is_some(),
                    Request::Delta(request) => request.node.is_some(),
                });
            }
            assert_eq!(has_node, [true, !once], "{mode:?}");
            client.reconnect();
        }
    }
}

#[test]
fn rule_03_all_clusters_and_listeners_are_asked_for_by_no_name() {
    let mut client = Client::new(Mode::Sotw);
    client.want(LDS, &["*"]);
    client.want(CDS, &["*"]);
    let requests = client.sotw();
    let urls: Vec<_> = requests.iter().map(|request| request.type_url.clone()).collect();
    assert_eq!(urls, [CDS.type_url(), LDS.type_url()]);
    assert!(requests.iter().all(|request| request.resource_names.is_empty()));

    // All and some: from the first name on, no name would mean none.
    client.want(CDS, &["a"]);
    assert_eq!(client.sotw_one().resource_names, ["*", "a"]);
    client.give_up(CDS, &["a"]);
    assert_eq!(client.sotw_one().resource_names, ["*"]);
}

#[test]
fn rule_04_every_response_is_answered_with_its_nonce() {
    let mut client = clusters();
    for (version, nonce) in [("1", "x"), ("2", "y"), ("3", "z")] {
        client.accept(&response(CDS, version, nonce, &["a"]));
        assert_eq!(gist(&client.sotw_one()), (version, nonce, false));
    }
    assert_eq!(client.sotw(), []);
}

#[test]
fn rule_05_a_nack_keeps_the_last_accepted_version() {
    let mut client = clusters();
    client.refuse(&response(CDS, "1", "a", &["bad"]), &["bad"]);
    let request = client.sotw_one();
    assert_eq!(gist(&request), ("", "a", true));
    assert_eq!(request.error_detail.unwrap().code, 13);
    client.accept(&response(CDS, "2", "b", &["good"]));
    assert_eq!(gist(&client.sotw_one()), ("2", "b", false));
    client.refuse(&response(CDS, "3", "c", &["bad"]), &["bad"]);
    assert_eq!(gist(&client.sotw_one()), ("2", "c", true));
}

#[test]
fn rule_06_an_error_is_cut_and_said_once() {
    let mut client = clusters();
    let name = "n".repeat(10_000);
    client.refuse(&response(CDS, "1", "a", &[&name]), &[&name]);
    let message = client.sotw_one().error_detail.unwrap().message;
    assert_eq!(message.len(), 4096 + "...(truncated)".len());
    assert!(message.starts_with("Error adding/updating cluster(s) nnn"), "{message}");
    assert!(message.ends_with("nnn...(truncated)"), "{message}");
    client.want(CDS, &["x"]);
    assert_eq!(gist(&client.sotw_one()), ("", "a", false));
}

#[test]
fn rule_08_the_nonce_ends_with_its_stream_and_the_version_does_not() {
    let mut client = clusters();
    client.want(LDS, &["*"]);
    client.accept(&response(CDS, "4", "a", &["x"]));
    client.refuse(&response(LDS, "4", "b", &["x"]), &["x"]);
    client.sotw();
    client.reconnect();
    let requests = client.sotw();
    assert_eq!(requests.iter().map(gist).collect::<Vec<_>>(), [("4", "", false), ("", "", false)]);
    assert!(requests[0].node.is_some());

    // An answer that comes too late for its stream is not given on the next one, but counts.
    let delivery = client.deliver(&response(CDS, "5", "c", &["x"]));
    client.mux.on_stream_closed();
    client.mux.on_applied(delivery.receipt, &[]);
    assert_eq!(client.sotw(), []);
    client.mux.on_stream_open();
    assert_eq!(gist(&client.sotw()[0]), ("5", "", false));
}

#[test]
fn rule_09_versions_are_opaque() {
    let mut client = clusters();
    for (version, nonce) in [("b", "1"), ("a", "2"), ("a", "3")] {
        client.accept(&response(CDS, version, nonce, &["x"]));
        assert_eq!(gist(&client.sotw_one()), (version, nonce, false));
    }
}

#[test]
fn rule_10_an_equal_version_with_other_content_is_delivered() {
    let mut client = clusters();
    client.accept(&response(CDS, "1", "a", &["x"]));
    let mut again = response(CDS, "1", "b", &["x", "y"]);
    again.resources[0] = body(CDS, "x", "changed");
    let update = client.accept(&again);
    assert_eq!(names_in(&update), ["x", "y"]);
    assert_eq!(update.resources[0].body, again.resources[0].value);
}

#[test]
fn rule_11_a_type_that_nobody_wants_is_ignored_and_one_that_nobody_wants_any_more_is_not_accepted()
{
    let mut client = clusters();
    for url in [EDS.type_url(), "type.googleapis.com/x.Y".into(), "nonsense".into()] {
        let mut unknown = response(EDS, "1", "a", &["x"]);
        unknown.type_url.clone_from(&url);
        assert!(
            matches!(client.receive(&unknown), Received::Unknown { type_url } if type_url == url)
        );
    }
    client.want(EDS, &["x"]);
    client.sotw();
    client.accept(&response(EDS, "1", "a", &["x"]));
    client.give_up(EDS, &["x"]);
    client.sotw();
    assert!(matches!(client.receive(&response(EDS, "2", "b", &["x"])), Received::Done));
    assert_eq!(gist(&client.sotw_one()), ("1", "b", false));
    assert!(matches!(client.receive(&response(EDS, "3", "c", &[])), Received::Done));
    assert_eq!(client.sotw(), []);
    client.want(EDS, &["y"]);
    assert_eq!(gist(&client.sotw_one()), ("3", "c", false));
}

#[test]
fn rule_12_a_resource_of_another_type_rejects_the_whole_response() {
    let mut client = clusters();
    let mut mixed = response(CDS, "1", "a", &["x"]);
    mixed.resources.push(body(EDS, "y", ""));
    assert!(matches!(client.receive(&mixed), Received::Rejected { kind: CDS, .. }));
    let request = client.sotw_one();
    assert_eq!(gist(&request), ("", "a", true));
    assert_eq!(
        request.error_detail.unwrap().message,
        "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment does not match the message-wide \
         type URL type.googleapis.com/envoy.config.cluster.v3.Cluster in DiscoveryResponse"
    );
    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.delta_one();
    let mut mixed = delta_response(CDS, "1", "a", &["x"], &[]);
    mixed.resources.push(wrapped("y", "1", Some(body(EDS, "y", ""))));
    client.receive(&mixed);
    assert_eq!(
        client.delta_one().error_detail.unwrap().message,
        "type URL type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment embedded in an individual Any does \
         not match the message-wide type URL type.googleapis.com/envoy.config.cluster.v3.Cluster in DeltaDiscoveryResponse"
    );
}

#[test]
fn rule_12_in_a_wrapper_it_is_the_type_of_what_is_wrapped_that_counts() {
    let mut client = clusters();
    let wrap = |kind| any::encode(&wrapped("x", "7", Some(body(kind, "x", ""))));
    let mut response = response(CDS, "1", "b", &[]);
    response.resources.push(wrap(CDS));
    let update = client.accept(&response);
    assert_eq!((names_in(&update), &*update.resources[0].version), (vec!["x"], "7"));
    response.resources.push(wrap(EDS));
    assert!(matches!(client.receive(&response), Received::Rejected { .. }));
}

#[test]
fn rule_13_a_name_said_twice_rejects_a_delta_and_is_for_the_owner_to_refuse_otherwise() {
    let mut client = clusters();
    let delivery = client.deliver(&response(CDS, "1", "a", &["x", "x"]));
    assert_eq!(names_in(&delivery.update), ["x", "x"]);

    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.delta_one();
    for (added, removed, text) in [
        (["x", "x"], [].as_slice(), "duplicate name x found among added/updated resources"),
        (["x", "y"], &["y"], "duplicate name y found in the union of added+removed resources"),
        (["x", "y"], &["z", "z"], "duplicate name z found in the union of added+removed resources"),
    ] {
        let response = delta_response(CDS, "1", "a", &added, removed);
        assert!(matches!(client.receive(&response), Received::Rejected { .. }));
        assert_eq!(client.delta_one().error_detail.unwrap().message, text);
    }
    assert_eq!(client.held(CDS), []);
}

#[test]
fn rule_14_what_nobody_asked_for_is_dropped_and_the_response_accepted() {
    let mut client = Client::new(Mode::Sotw);
    client.want(RDS, &["asked"]);
    client.sotw_one();
    let update = client.accept(&response(RDS, "1", "a", &["unasked"]));
    assert_eq!(names_in(&update), [""; 0]);
    assert_eq!(gist(&client.sotw_one()), ("1", "a", false));
}

#[test]
fn rule_15_no_request_waits_for_the_response_to_the_one_before() {
    let mut client = Client::new(Mode::Sotw);
    let mut wanted = Vec::new();
    for name in ["a", "b", "c"] {
        client.want(EDS, &[name]);
        wanted.push(name);
        assert_eq!(client.sotw_one().resource_names, wanted);
    }
}

#[test]
fn rule_15_a_request_with_an_old_nonce_would_be_ignored_and_waits_for_the_answer() {
    let mut client = Client::new(Mode::Sotw);
    client.want(EDS, &["a"]);
    client.sotw_one();
    let delivery = client.deliver(&response(EDS, "1", "x", &["a"]));
    client.want(EDS, &["b"]);
    assert_eq!(client.sotw(), []);
    client.mux.on_applied(delivery.receipt, &[]);
    let request = client.sotw_one();
    assert_eq!((gist(&request), request.resource_names.len()), (("1", "x", false), 2));
}

#[test]
fn rule_15_the_answer_to_a_later_response_implies_that_to_an_earlier_one() {
    let mut client = clusters();
    let first = client.deliver(&response(CDS, "1", "x", &["a"]));
    assert!(matches!(client.receive(&response(CDS, "2", "y", &[""])), Received::Rejected { .. }));
    client.mux.on_applied(first.receipt, &[]);
    assert_eq!(gist(&client.sotw_one()), ("", "y", true));
}

#[test]
fn rule_16_a_thousand_names_make_one_request_and_a_held_type_makes_none() {
    for mode in BOTH {
        let mut client = Client::new(mode);
        client.mux.hold(EDS);
        for index in 0..1000 {
            client.want(EDS, &[&format!("cluster {index}")]);
        }
        assert!(client.mux.next_request().is_none());
        client.mux.release(EDS);
        let names = match client.mux.next_request().unwrap() {
            Request::Sotw(request) => request.resource_names,
            Request::Delta(request) => request.resource_names_subscribe,
        };
        assert_eq!(names.len(), 1000);
        assert!(client.mux.next_request().is_none());
    }
}

#[test]
fn rule_17_the_answer_waits_while_clusters_warm_and_their_endpoints_do_not() {
    let mut client = clusters();
    client.mux.hold(CDS);
    client.accept(&response(CDS, "1", "a", &["x"]));
    client.want(EDS, &["x"]);
    assert_eq!(client.sotw_one().resource_names, ["x"]);
    client.accept(&response(EDS, "1", "b", &["x"]));
    assert_eq!(client.sotw_one().type_url, EDS.type_url());
    client.mux.release(CDS);
    assert_eq!(gist(&client.sotw_one()), ("1", "a", false));
}

#[test]
fn rule_17_with_delta_each_answer_waits() {
    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.delta_one();
    client.mux.hold(CDS);
    client.accept(&delta_response(CDS, "1", "a", &["x"], &[]));
    client.refuse(&delta_response(CDS, "2", "b", &["x"], &[]), &["x"]);
    assert_eq!(client.delta(), []);
    client.mux.release(CDS);
    let answers = client.delta();
    let nonces: Vec<_> = answers.iter().map(|request| &*request.response_nonce).collect();
    assert_eq!(nonces, ["a", "b"]);
    assert!(answers[0].error_detail.is_none() && answers[1].error_detail.is_some());
}

#[test]
fn rule_18_absence_removes_clusters_and_listeners_and_nothing_else() {
    for kind in ResourceType::ALL {
        let removes = matches!(kind, CDS | LDS);
        let mut client = Client::new(Mode::Sotw);
        client.want(kind, if removes { &["*"] } else { &["a", "b"] });
        client.sotw_one();
        client.accept(&response(kind, "1", "x", &["a", "b"]));
        client.sotw_one();
        for (nonce, names) in [("y", ["a"].as_slice()), ("z", &[])] {
            let update = client.accept(&response(kind, "2", nonce, names));
            let extent = if removes { Extent::Everything } else { Extent::Some };
            assert_eq!((update.extent, names_in(&update)), (extent, names.to_vec()), "{kind:?}");
            assert_eq!(gist(&client.sotw_one()), ("2", nonce, false));
        }
    }
}

#[test]
fn rule_19_a_child_is_given_up_before_its_parent_is_acknowledged() {
    let mut client = clusters();
    client.want(EDS, &["a", "b"]);
    client.accept(&response(CDS, "1", "x", &["a", "b"]));
    client.accept(&response(EDS, "e", "y", &["a", "b"]));
    client.sotw();
    let delivery = client.deliver(&response(CDS, "2", "z", &["a"]));
    client.mux.on_applied(delivery.receipt, &[]);
    client.give_up(EDS, &["b"]);
    let requests = client.sotw();
    assert_eq!((&*requests[0].type_url, requests.len()), (&*EDS.type_url(), 2));
    assert_eq!(requests[0].resource_names, ["a"]);
    assert_eq!(gist(&requests[1]), ("2", "z", false));

    client.give_up(EDS, &["a"]);
    let last = client.sotw_one();
    assert_eq!((gist(&last), last.resource_names.len()), (("e", "y", false), 0));
    // On the next stream, no name would mean all.
    client.reconnect();
    assert_eq!(client.sotw_one().type_url, CDS.type_url());
}

#[test]
fn rule_20_what_cannot_be_read_rejects_all_and_what_is_refused_rejects_itself() {
    for mode in BOTH {
        let mut client = Client::new(mode);
        client.want(CDS, &["*"]);
        while client.mux.next_request().is_some() {}
        let cut = Any { type_url: CDS.type_url(), value: vec![0x0a, 9] };
        let unnamed = body(CDS, "", "");
        for broken in [cut, unnamed] {
            let received = match mode {
                Mode::Sotw => {
                    let mut response = response(CDS, "1", "a", &["good"]);
                    response.resources.push(broken);
                    client.receive(&response)
                }
                Mode::Delta => {
                    let mut response = delta_response(CDS, "1", "a", &["good"], &[]);
                    response.resources.push(wrapped("", "1", Some(broken)));
                    client.receive(&response)
                }
            };
            assert!(matches!(received, Received::Rejected { .. }), "{received:?}");
            let (nonce, error) = match client.mux.next_request().unwrap() {
                Request::Sotw(request) => (request.response_nonce, request.error_detail),
                Request::Delta(request) => (request.response_nonce, request.error_detail),
            };
            assert_eq!((&*nonce, error.is_some()), ("a", true));
        }
    }
    let mut client = clusters();
    let update = client.refuse(&response(CDS, "2", "b", &["good", "bad"]), &["bad"]);
    assert_eq!(names_in(&update), ["good", "bad"]);
    let request = client.sotw_one();
    assert_eq!(gist(&request), ("", "b", true));
    assert_eq!(request.error_detail.unwrap().message, "Error adding/updating cluster(s) bad: bad");
}

#[test]
fn rule_21_what_was_refused_is_held_as_it_was() {
    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.delta_one();
    client.accept(&delta_response(CDS, "1", "a", &["x"], &[]));
    client.refuse(&delta_response(CDS, "2", "b", &["x"], &[]), &["x"]);
    assert_eq!(client.held(CDS), [("x".into(), "1".into())]);
}

/// How many requests follow a response with these endpoints.
fn requests_after(client: &mut Client, names: &[&str]) -> usize {
    client.accept(&response(EDS, "2", "y", names));
    client.sotw().len()
}

#[test]
fn rule_28_with_state_of_the_world_a_name_wanted_again_is_first_given_up() {
    let mut client = Client::new(Mode::Sotw);
    client.want(EDS, &["a", "b"]);
    client.sotw_one();
    client.accept(&response(EDS, "1", "x", &["a", "b"]));
    client.give_up(EDS, &["b"]);
    client.want(EDS, &["b"]);
    let requests = client.sotw();
    let names: Vec<_> = requests.iter().map(|request| request.resource_names.clone()).collect();
    assert_eq!(names, [vec!["a"], vec!["a", "b"]]);
    assert!(requests.iter().all(|request| gist(request) == ("1", "x", false)));
    assert_eq!(requests_after(&mut client, &["b"]), 1);
    // Nor does it matter that the request without it was sent long ago: it may have crossed with a response, and been ignored.
    client.give_up(EDS, &["a"]);
    assert_eq!(client.sotw_one().resource_names, ["b"]);
    client.want(EDS, &["a"]);
    assert_eq!(client.sotw().len(), 2);
    // So may these, until the name is delivered; but the server may not have it, and is not asked for ever.
    let counts: Vec<_> = (0..6).map(|_| requests_after(&mut client, &[])).collect();
    assert_eq!(counts, [2, 2, 2, 2, 1, 1]);
    client.give_up(EDS, &["a"]);
    client.want(EDS, &["a"]);
    assert_eq!(client.sotw().len(), 2);
    assert_eq!([requests_after(&mut client, &["a"]), requests_after(&mut client, &[])], [1, 1]);
    // A server that never heard of it hears of it once.
    client.reconnect();
    client.give_up(EDS, &["b"]);
    client.want(EDS, &["b"]);
    assert_eq!(client.sotw_one().resource_names, ["a", "b"]);
}
