//! Names: what answers make of hosts, when they are asked for again, and who is asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::UdpSocket;

use super::names::Known;
use super::resolver::Answer;
use super::*;
use crate::upstream::host::EdsHealth;
use crate::upstream::transport::Transport;

const SECOND: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn name(name: &str, port: u16) -> Name {
    let address = SocketAddr::new(ip("0.0.0.0"), port);
    let like = HostSpec {
        address: address.into(),
        additional_addresses: Box::default(),
        hostname: name.into(),
        locality: Arc::default(),
        transport: Arc::new(Transport::Plain),
        weight: 2,
        priority: 0,
        health: EdsHealth::Unknown,
        workload: None,
    };
    Name { name: name.into(), like }
}

fn names(is_logical: bool) -> Names {
    let locality = |names| NameLocality { weight: 0, priority: 0, names };
    Names {
        localities: vec![locality(vec![name("a", 1), name("b", 2)]), locality(vec![name("c", 3)])],
        overprovisioning_percent: 120,
        weighted_priority_health: true,
        is_logical,
        refresh: refresh(),
        family: Family::Auto,
        servers: Servers::default(),
    }
}

fn refresh() -> Refresh {
    Refresh {
        interval: 5 * SECOND,
        least: Duration::ZERO,
        failure: None,
        respects_ttl: false,
        jitter: Duration::ZERO,
    }
}

/// The addresses of each locality; those of one host stand together.
fn hosts(known: &Known, names: &Names) -> Vec<String> {
    let assignment = known.assignment(names);
    assert_eq!(assignment.overprovisioning_percent, 120);
    let host = |host: &HostSpec| {
        let more = host.additional_addresses.iter().map(|address| format!("+{address}"));
        format!("{}{}", host.address, more.collect::<String>())
    };
    let locality = |hosts: &[HostSpec]| hosts.iter().map(host).collect::<Vec<_>>().join(" ");
    assignment.localities.iter().map(|l| locality(&l.hosts)).collect()
}

#[test]
fn each_address_of_a_strict_name_is_a_host() {
    let names = names(false);
    let mut known = Known::new(&names);
    assert_eq!(hosts(&known, &names), ["", ""]);
    assert!(known.learn(&names, 1, vec![ip("10.0.0.2"), ip("10.0.0.1"), ip("10.0.0.2")]));
    assert!(known.learn(&names, 2, vec![ip("::1")]));
    assert_eq!(hosts(&known, &names), ["10.0.0.1:2 10.0.0.2:2", "[::1]:3"]);
    // Servers change the order of answers at will.
    assert!(!known.learn(&names, 1, vec![ip("10.0.0.2"), ip("10.0.0.1")]));
    assert!(known.learn(&names, 0, vec![ip("10.0.0.9")]));
    assert_eq!(hosts(&known, &names), ["10.0.0.9:1 10.0.0.1:2 10.0.0.2:2", "[::1]:3"]);
    // A name that is no more has no hosts.
    assert!(known.learn(&names, 1, Vec::new()));
    assert_eq!(hosts(&known, &names), ["10.0.0.9:1", "[::1]:3"]);
    assert!(!known.learn(&names, 7, vec![ip("10.0.0.9")]));
}

#[test]
fn all_addresses_of_a_logical_name_are_one_host_for_as_long_as_its_own_is_among_them() {
    let names = names(true);
    let mut known = Known::new(&names);
    assert!(known.learn(&names, 2, vec![ip("10.0.0.2"), ip("10.0.0.1")]));
    assert_eq!(hosts(&known, &names), ["", "10.0.0.2:3+10.0.0.1:3"]);
    assert!(!known.learn(&names, 2, vec![ip("10.0.0.3"), ip("10.0.0.2")]));
    assert!(!known.learn(&names, 2, Vec::new()));
    assert_eq!(hosts(&known, &names), ["", "10.0.0.2:3+10.0.0.1:3"]);
    assert!(known.learn(&names, 2, vec![ip("10.0.0.4")]));
    assert_eq!(hosts(&known, &names), ["", "10.0.0.4:3"]);
}

#[test]
fn hosts_are_like_their_name() {
    let names = names(false);
    let mut known = Known::new(&names);
    known.learn(&names, 0, vec![ip("10.0.0.1")]);
    let host = &known.assignment(&names).localities[0].hosts[0];
    assert_eq!((&*host.hostname, host.weight), ("a", 2));
    assert!(Arc::ptr_eq(&host.transport, &names.localities[0].names[0].like.transport));
}

#[test]
fn an_answer_is_good_for_the_interval_or_as_long_as_it_says() {
    let rng = &mut StdRng::seed_from_u64(1);
    let minute = Some(60 * SECOND);
    assert_eq!(refresh().after_answer(minute, rng), 5 * SECOND);
    let by_ttl = Refresh { respects_ttl: true, ..refresh() };
    assert_eq!(by_ttl.after_answer(minute, rng), 60 * SECOND);
    assert_eq!(by_ttl.after_answer(Some(Duration::ZERO), rng), 5 * SECOND);
    assert_eq!(by_ttl.after_answer(None, rng), 5 * SECOND);
    let least = Refresh { least: 90 * SECOND, ..by_ttl };
    assert_eq!(least.after_answer(minute, rng), 90 * SECOND);
    let jittered = Refresh { jitter: SECOND, ..refresh() };
    let times: Vec<_> = (0..100).map(|_| jittered.after_answer(None, rng)).collect();
    assert!(times.iter().all(|time| (5 * SECOND..6 * SECOND).contains(time)));
    assert!(times.iter().max().unwrap().saturating_sub(*times.iter().min().unwrap()) > SECOND / 2);
    let endless = Refresh { interval: Duration::MAX, jitter: Duration::MAX, ..refresh() };
    assert_eq!(endless.after_answer(None, rng), Duration::MAX);
}

#[test]
fn failures_in_a_row_are_waited_out_longer_and_longer() {
    let rng = &mut StdRng::seed_from_u64(1);
    assert_eq!(refresh().after_failure(9, rng), 5 * SECOND);
    let backing_off = Refresh { failure: Some((2 * SECOND, 7 * SECOND)), ..refresh() };
    for (failures, longest) in [(1, 2), (2, 4), (3, 7), (4, 7), (u32::MAX, 7)] {
        let times: Vec<_> = (0..200).map(|_| backing_off.after_failure(failures, rng)).collect();
        let max = *times.iter().max().unwrap();
        assert!(max <= longest * SECOND && max > longest * SECOND * 9 / 10, "{failures}: {max:?}");
        assert!(times.iter().all(|time| *time >= Duration::from_millis(1)));
    }
}

/// A name server: `v4` has one address, `v6` the other, `both` both, `bad` an error, and there is nothing else.
async fn server() -> Servers {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            let _ = socket.send_to(&reply(&query[..length]), from).await;
        }
    });
    Servers { addresses: vec![address], uses_tcp: false, is_absolute: true }
}

/// RFC 1035 §4.1
fn reply(query: &[u8]) -> Vec<u8> {
    let labels_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question = &query[12..labels_end + 4];
    let first = &question[1..=usize::from(question[0])];
    let is_v6 = question[question.len() - 3] == 28;
    let data: &[u8] = match (first, is_v6) {
        (b"v4" | b"both", false) => &[10, 0, 0, 1],
        (b"v6" | b"both", true) => &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        _ => &[],
    };
    let code = match first {
        b"bad" => 2,
        b"v4" | b"v6" | b"both" => 0,
        _ => 3,
    };
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(!data.is_empty()), 0, 0, 0, 0]);
    reply.extend(question);
    if !data.is_empty() {
        reply.extend([0xc0, 12, 0, if is_v6 { 28 } else { 1 }, 0, 1, 0, 0, 0, 30, 0]);
        reply.push(u8::try_from(data.len()).unwrap());
        reply.extend(data);
    }
    reply
}

#[tokio::test]
async fn a_name_has_the_addresses_of_the_family_that_is_wanted() {
    let servers = server().await;
    let resolver = Resolver::default();
    let (v4, v6) = (ip("10.0.0.1"), ip("fd00::1"));
    for (name, family, expected) in [
        ("both.test", Family::V4Only, vec![v4]),
        ("both.test", Family::V6Only, vec![v6]),
        ("both.test", Family::Auto, vec![v6]),
        ("both.test", Family::V4Preferred, vec![v4]),
        ("both.test", Family::All, vec![v6, v4]),
        ("v4.test", Family::Auto, vec![v4]),
        ("v4.test", Family::All, vec![v4]),
        ("v4.test", Family::V6Only, vec![]),
        ("v6.test", Family::V4Preferred, vec![v6]),
        ("none.test", Family::All, vec![]),
    ] {
        let answer = resolver.lookup(name, family, &servers).await.unwrap();
        assert_eq!(answer.addresses, expected, "{name} {family:?}");
        let ttl = (!expected.is_empty()).then_some(30 * SECOND);
        assert_eq!(answer.ttl, ttl, "{name} {family:?}");
    }
    for family in [Family::V4Only, Family::Auto, Family::All] {
        assert!(resolver.lookup("bad.test", family, &servers).await.is_err(), "{family:?}");
    }
}

#[tokio::test]
async fn an_ip_address_and_the_machine_itself_need_no_server() {
    let resolver = Resolver::default();
    let servers = server().await;
    for address in ["10.9.8.7", "::1"] {
        let answer = resolver.lookup(address, Family::V4Only, &servers).await.unwrap();
        assert_eq!(answer, Answer { addresses: vec![ip(address)], ttl: None });
    }
    let answer = resolver.lookup("localhost", Family::V4Only, &servers).await.unwrap();
    assert!(answer.addresses.contains(&ip("127.0.0.1")));
}

#[tokio::test]
async fn what_is_no_name_is_a_failure() {
    let servers = server().await;
    let long = "x".repeat(300);
    for name in ["", "a..b", &long] {
        let answer = Resolver::default().lookup(name, Family::V4Only, &servers).await;
        assert!(answer.map_or(true, |answer| answer.addresses.is_empty()), "{name}");
    }
}
