//! Choices among clusters and answers of the proxy's own, beside those of Envoy 1.40.

use super::*;

/// Observed on Envoy 1.40; 5 is the random value of the request.
#[test]
fn a_header_brings_the_random_value_if_it_is_one_number() {
    let header_name = Some(Name::new("x-r"));
    let split = Split::new([(3, "a"), (7, "b")], "r").unwrap();
    let target = Target::Weighted { split, header_name };
    for (lines, expected) in [
        (vec![], "b"),
        (vec!["2"], "a"),
        (vec!["+2"], "a"),
        (vec!["13"], "b"),
        (vec!["18446744073709551616"], "b"),
        (vec!["-1"], "b"),
        (vec!["abc"], "b"),
        (vec!["0", "0"], "b"),
    ] {
        let mut head = RequestHead::new(b"GET", b"a.com", b"/");
        for line in &lines {
            head.headers.append(b"x-r", line.as_bytes());
        }
        assert_eq!(target.choose(&head, 5), Choice::Cluster(&expected), "{lines:?}");
    }
}

#[test]
fn a_header_names_the_cluster() {
    let target: Target<&str> = Target::Header(Name::new("x-c"));
    let mut head = RequestHead::new(b"GET", b"a.com", b"/");
    assert_eq!(target.choose(&head, 0), Choice::Named(b""));
    head.headers.append(b"x-c", b"one");
    head.headers.append(b"x-c", b"two");
    assert_eq!(target.choose(&head, 0), Choice::Named(b"one"));
    assert_eq!(Target::Cluster("c").choose(&head, 0), Choice::Cluster(&"c"));
}

#[test]
fn a_direct_response_has_a_final_status_and_a_limited_body() {
    for (status, good) in [(199, false), (200, true), (599, true), (600, false), (65_736, false)] {
        assert_eq!(DirectResponse::new(status, [], 0).is_ok(), good, "{status}");
    }
    assert!(DirectResponse::new(200, [0; 4096], 4096).is_ok());
    let error = DirectResponse::new(200, [0; 4097], 4096).unwrap_err();
    assert_eq!(error.to_string(), "response body size is 4097 bytes; maximum is 4096");
}

/// Observed on Envoy 1.40.
#[test]
fn a_direct_response_that_speaks_of_a_place_names_the_request_s_own() {
    let head = RequestHead::new(b"GET", b"a.com:80", b"/p?q");
    for (status, located) in
        [(200, false), (201, true), (202, false), (300, true), (399, true), (400, false)]
    {
        let response = DirectResponse::new(status, *b"body", 4096).unwrap();
        let location = response.location(&head);
        assert_eq!(location.is_some(), located, "{status}");
        assert!(location.is_none_or(|at| at == b"http://a.com:80/p?q"));
    }
}
