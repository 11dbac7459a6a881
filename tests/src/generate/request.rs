//! A random request, made of the same pieces as the tables so that it often meets a route.

use std::fmt::Write as _;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::one_of;
use super::table::{NAMES, SEGMENTS, VALUES};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: &'static str,
    pub target: String,
    pub host: &'static str,
    pub headers: Vec<(&'static str, &'static str)>,
}

const HOSTS: [&str; 13] = [
    "a.test",
    "A.test",
    "b.a.test",
    "c.b.a.test",
    "x.test",
    "xa.test",
    "a.b.test",
    "a.other",
    "b.a.other",
    "a.test:8080",
    "a.test:80",
    "a.test.",
    "other",
];
const QUERIES: [&str; 10] = [
    "",
    "?",
    "?q",
    "?q=",
    "?q=one",
    "?q=5",
    "?q=two&q=one",
    "?p=1&q=one,two",
    "?q=a%20b",
    "?Q=one",
];

impl Request {
    pub fn random(rng: &mut StdRng) -> Self {
        let mut target = String::new();
        for _ in 0..rng.random_range(1..=3) {
            let odd = one_of(rng, &["", "", "", "", "", "/", "/.", "/..", "/%2e%2e", "/%2F", "\\"]);
            target += &format!("{odd}/{}", one_of(rng, &SEGMENTS));
        }
        target += one_of(rng, &["", "", "", "/"]);
        target += one_of(rng, &QUERIES);
        let mut headers = Vec::new();
        for name in NAMES {
            while rng.random_bool(0.4) && headers.len() < 5 {
                headers.push((name, one_of(rng, &VALUES)));
            }
        }
        headers.push(("x-random", one_of(rng, &["0", "29", "30", "99", "131"])));
        if rng.random_bool(0.3) {
            headers.push(("x-cluster", one_of(rng, &["one", "two", "nowhere"])));
        }
        if rng.random_bool(0.1) {
            headers.push(("content-type", "application/grpc"));
        }
        if rng.random_bool(0.1) {
            headers.push(("x-forwarded-proto", "https"));
        }
        let method = one_of(rng, &["GET", "GET", "GET", "POST", "HEAD", "PUT"]);
        Self { method, target, host: one_of(rng, &HOSTS), headers }
    }

    /// The bytes to send, with an id by which logs and upstreams name the request.
    pub fn bytes(&self, id: &str) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\nx-pair: {id}\r\n",
            self.method, self.target, self.host
        );
        for (name, value) in &self.headers {
            // Writing to a string does not fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }
}
