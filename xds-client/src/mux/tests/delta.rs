//! Rules 24-36 of the protocol: delta.

use super::*;

fn clusters() -> Client {
    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.delta_one();
    client
}

fn endpoints(names: &[&str]) -> Client {
    let mut client = Client::new(Mode::Delta);
    client.want(EDS, names);
    client.delta_one();
    client
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, version)| (name.to_string(), version.to_string())).collect()
}

/// Names that are asked for, and names that are given up.
fn changes(request: &api::DeltaDiscoveryRequest) -> (Vec<&str>, Vec<&str>) {
    (
        request.resource_names_subscribe.iter().map(String::as_str).collect(),
        request.resource_names_unsubscribe.iter().map(String::as_str).collect(),
    )
}

#[test]
fn rule_24_a_request_of_its_own_has_no_nonce_and_may_ride_with_an_answer() {
    let mut client = endpoints(&["a"]);
    client.accept(&delta_response(EDS, "1", "x", &["a"], &[]));
    assert_eq!(client.delta_one().response_nonce, "x");
    client.want(EDS, &["b"]);
    let request = client.delta_one();
    assert_eq!((&*request.response_nonce, changes(&request)), ("", (vec!["b"], vec![])));

    client.accept(&delta_response(EDS, "1", "y", &["b"], &[]));
    client.want(EDS, &["c"]);
    client.give_up(EDS, &["a"]);
    let request = client.delta_one();
    assert_eq!((&*request.response_nonce, changes(&request)), ("y", (vec!["c"], vec!["a"])));
}

#[test]
fn rule_25_a_new_stream_is_told_of_all_that_is_wanted_and_held_once() {
    let mut client = Client::new(Mode::Delta);
    client.want(CDS, &["*"]);
    client.want(EDS, &["good1", "good2"]);
    assert!(client.delta().iter().all(|request| request.initial_resource_versions.is_empty()));
    client.accept(&delta_response(CDS, "1", "a", &["good2"], &[]));
    client.accept(&delta_response(EDS, "1", "b", &["good1"], &[]));
    assert!(client.delta().iter().all(|request| request.initial_resource_versions.is_empty()));
    client.reconnect();
    let [clusters, endpoints] = client.delta().try_into().unwrap();
    assert_eq!(changes(&clusters), (vec![], vec![]));
    assert_eq!(clusters.initial_resource_versions, pairs(&[("good2", "1")]).into_iter().collect());
    assert_eq!(changes(&endpoints), (vec!["good1", "good2"], vec![]));
    assert_eq!(endpoints.initial_resource_versions, pairs(&[("good1", "1")]).into_iter().collect());
    client.want(EDS, &["good3"]);
    assert!(client.delta_one().initial_resource_versions.is_empty());
}

#[test]
fn rule_25_a_new_stream_waits_until_it_is_known_what_is_held() {
    let mut client = clusters();
    let delivery = client.deliver(&delta_response(CDS, "1", "a", &["x"], &[]));
    client.reconnect();
    assert_eq!(client.delta(), []);
    client.mux.on_applied(delivery.receipt, &[]);
    let request = client.delta_one();
    assert_eq!(request.initial_resource_versions, pairs(&[("x", "1")]).into_iter().collect());
    assert_eq!(request.response_nonce, "");
}

#[test]
fn rule_26_only_versions_of_accepted_responses_count() {
    let mut client = clusters();
    client.refuse(&delta_response(CDS, "1", "a", &["good1", "bad"], &[]), &["bad"]);
    client.accept(&delta_response(CDS, "1", "b", &["good2", "good3"], &[]));
    client.accept(&delta_response(CDS, "2", "c", &[], &["good3"]));
    // It is held, so a server that has it no more must say so; which version it is the server does not know.
    assert_eq!(client.held(CDS), pairs(&[("good1", ""), ("good2", "1")]));
    // Nor does it if another version was accepted before: the server may go back to it.
    client.refuse(&delta_response(CDS, "2", "d", &["good2", "bad"], &[]), &["bad"]);
    assert_eq!(client.held(CDS), pairs(&[("good1", ""), ("good2", "")]));
    client.accept(&delta_response(CDS, "3", "e", &["good1", "good2"], &[]));
    assert_eq!(client.held(CDS), pairs(&[("good1", "3"), ("good2", "3")]));

    // What is gone, or never came, is wanted and not held.
    let mut client = endpoints(&["a", "b", "c"]);
    client.accept(&delta_response(EDS, "1", "x", &["a", "b"], &[]));
    client.accept(&delta_response(EDS, "2", "y", &[], &["b"]));
    client.reconnect();
    let request = client.delta_one();
    assert_eq!(changes(&request), (vec!["a", "b", "c"], vec![]));
    assert_eq!(request.initial_resource_versions, pairs(&[("a", "1")]).into_iter().collect());
}

#[test]
fn rule_27_wildcard_by_silence_by_name_and_not_at_all() {
    // Each step: what the owner does, and what is asked for and given up then.
    let mut client = clusters();
    client.accept(&delta_response(CDS, "1", "x", &["a", "b"], &[]));
    client.delta_one();
    client.want(CDS, &["a"]);
    assert_eq!(changes(&client.delta_one()), (vec!["a"], vec![]));
    client.reconnect();
    assert_eq!(changes(&client.delta_one()), (vec!["*", "a"], vec![]));
    // Still one of all: it stays until the server says something of it.
    client.give_up(CDS, &["a"]);
    assert_eq!(changes(&client.delta_one()), (vec![], vec!["a"]));
    assert_eq!(client.held(CDS), pairs(&[("a", "1"), ("b", "1")]));

    // What came of all goes with it, what has a name stays.
    client.want(CDS, &["a"]);
    client.give_up(CDS, &["*"]);
    assert_eq!(changes(&client.delta_one()), (vec!["a"], vec!["*"]));
    assert_eq!(client.held(CDS), pairs(&[("a", "1")]));
    client.give_up(CDS, &["a"]);
    assert_eq!(changes(&client.delta_one()), (vec![], vec!["a"]));
    client.reconnect();
    assert_eq!(client.delta(), []);
    client.want(CDS, &["*"]);
    assert_eq!(changes(&client.delta_one()), (vec![], vec![]));
}

#[test]
fn rule_27_silence_means_nothing_once_a_name_was_said() {
    let mut client = endpoints(&["a"]);
    client.want(EDS, &["*"]);
    assert_eq!(changes(&client.delta_one()), (vec!["*"], vec![]));
    client.give_up(EDS, &["*"]);
    assert_eq!(changes(&client.delta_one()), (vec![], vec!["*"]));
}

#[test]
fn rule_28_a_name_given_up_and_wanted_again_is_asked_for_again() {
    let mut client = endpoints(&["a"]);
    client.accept(&delta_response(EDS, "1", "x", &["a"], &[]));
    client.delta_one();
    client.give_up(EDS, &["a"]);
    client.want(EDS, &["a"]);
    assert_eq!(changes(&client.delta_one()), (vec!["a"], vec![]));
    // The owner has forgotten it.
    assert_eq!(client.held(EDS), []);

    client.want(EDS, &["b"]);
    client.give_up(EDS, &["b"]);
    assert_eq!(changes(&client.delta_one()), (vec![], vec!["b"]));

    // What is delivered while it is forgotten does not count either.
    let delivery = client.deliver(&delta_response(EDS, "2", "y", &["a"], &[]));
    client.give_up(EDS, &["a"]);
    client.want(EDS, &["a"]);
    client.mux.on_applied(delivery.receipt, &[]);
    assert_eq!(client.held(EDS), []);
}

#[test]
fn rule_29_removal_of_an_unknown_name_is_ignored_and_of_a_missing_one_delivered() {
    let mut client = endpoints(&["good2"]);
    let update = client.accept(&delta_response(EDS, "1", "x", &[], &["neverexisted", "good2"]));
    assert_eq!(update.removed, [Arc::from("good2")]);
    let request = client.delta_one();
    assert_eq!((&*request.response_nonce, request.error_detail), ("x", None));
}

#[test]
fn rule_30_removal_of_endpoints_that_are_held_is_delivered() {
    let mut client = endpoints(&["a"]);
    client.accept(&delta_response(EDS, "1", "x", &["a"], &[]));
    let update = client.accept(&delta_response(EDS, "2", "y", &[], &["a"]));
    assert_eq!(update.removed, [Arc::from("a")]);
    assert_eq!(client.held(EDS), []);
}

#[test]
fn rule_31_what_a_response_does_not_name_stays() {
    let names: Vec<_> = (0..100).map(|index| format!("{index:02}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut client = clusters();
    client.accept(&delta_response(CDS, "1", "x", &names, &[]));
    let update = client.accept(&delta_response(CDS, "2", "y", &["07"], &[]));
    assert_eq!((update.extent, names_in(&update)), (Extent::Some, vec!["07"]));
    let held = client.held(CDS);
    let at_2: Vec<_> = held.iter().filter(|(_, version)| version == "2").collect();
    assert_eq!((held.len(), at_2), (100, vec![&("07".into(), "2".into())]));
}

#[test]
fn rule_32_a_response_that_says_nothing_is_an_update_of_all() {
    let mut client = clusters();
    let update = client.accept(&delta_response(CDS, "1", "x", &[], &[]));
    assert_eq!((update.resources.len(), update.removed.len()), (0, 0));
    assert_eq!(client.delta_one().response_nonce, "x");
}

#[test]
fn rule_33_an_alias_without_a_resource_is_no_error() {
    let mut client = clusters();
    let mut response = delta_response(CDS, "1", "x", &["a"], &[]);
    response.resources.push(wrapped("b", "1", None));
    response.resources[1].aliases = strings(&["c"]);
    assert_eq!(names_in(&client.accept(&response)), ["a"]);
    assert_eq!(client.delta_one().error_detail, None);

    response.resources[1].aliases.clear();
    assert!(matches!(client.receive(&response), Received::Rejected { .. }));
}

#[test]
fn rule_34_the_system_version_is_for_people() {
    let mut client = clusters();
    let update = client.accept(&delta_response(CDS, "1", "x", &["a"], &[]));
    assert_eq!((&*update.version, &*update.resources[0].version), ("system 1", "1"));
    client.reconnect();
    assert!(!format!("{:?}", client.delta()).contains("system"));
}

#[test]
fn rule_35_a_resource_may_be_named_by_a_resource_name() {
    let mut client = clusters();
    let name = |name: &str| api::ResourceName { name: name.into(), ..Default::default() };
    let mut response = delta_response(CDS, "1", "x", &["a"], &[]);
    response.resources[0].name.clear();
    response.resources[0].resource_name = Some(name("a"));
    response.removed_resource_names = vec![name("b")];
    let update = client.accept(&response);
    assert_eq!((names_in(&update), &*update.removed), (vec!["a"], [Arc::from("b")].as_slice()));
    assert_eq!(client.held(CDS), pairs(&[("a", "1")]));
}

#[test]
fn rule_35_a_wrapper_cannot_give_a_resource_another_name() {
    let mut client = clusters();
    let mut response = delta_response(CDS, "1", "x", &["a"], &[]);
    response.resources[0].name = "b".into();
    assert!(matches!(client.receive(&response), Received::Rejected { .. }));
    let message = client.delta_one().error_detail.unwrap().message;
    assert_eq!(message, "resource b holds a cluster of name a");
}

#[test]
fn rule_36_errors_of_single_resources_are_told_and_a_missing_one_is_gone() {
    let error = |name: &str, code: i32| api::ResourceError {
        resource_name: Some(api::ResourceName { name: name.into(), ..Default::default() }),
        error_detail: Some(outrigger_xds_api::google::rpc::Status {
            code,
            message: "why".into(),
            ..Default::default()
        }),
    };
    let errors = vec![error("gone", 5), error("denied", 7), error("unasked", 7)];
    let denied = Failure { name: "denied".into(), code: 7, message: "why".into() };
    let mut client = endpoints(&["gone", "denied"]);
    let mut delta = delta_response(EDS, "1", "x", &[], &[]);
    delta.resource_errors.clone_from(&errors);
    let delivery = client.deliver(&delta);
    assert_eq!(delivery.update.removed, [Arc::from("gone")]);
    assert_eq!(delivery.failures, std::slice::from_ref(&denied));

    let mut client = Client::new(Mode::Sotw);
    client.want(EDS, &["gone", "denied"]);
    client.sotw_one();
    let mut sotw = response(EDS, "1", "x", &[]);
    sotw.resource_errors = errors;
    let delivery = client.deliver(&sotw);
    assert_eq!(delivery.update.removed, []);
    let missing = Failure { name: "gone".into(), code: 5, message: "why".into() };
    assert_eq!(delivery.failures, [missing, denied]);
}

#[test]
fn answers_that_nobody_may_hear_are_limited() {
    let mut client = clusters();
    client.mux.hold(CDS);
    for index in 0..3000 {
        client.accept(&delta_response(CDS, "1", &index.to_string(), &[], &[]));
    }
    client.mux.release(CDS);
    let answers = client.delta();
    assert_eq!((answers.len(), &*answers[1023].response_nonce), (1024, "2999"));
}
