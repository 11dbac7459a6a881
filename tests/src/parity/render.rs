//! An observation as lines of text, in sections. Two sides agree when their lines are equal.
//!
//! Header lines are sorted by name and keep their order within a name. Everything volatile has been
//! replaced, so what is left is what a user of the proxy could rely on.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use regex::Regex;

use super::case::{Case, Compare};
use super::names::Names;
use super::shape::shape;
use super::side::Observation;
use crate::client::Heard;
use crate::stream::Fate;
use crate::text;
use crate::upstream::record::Seen;

type Lines = [(Vec<u8>, Vec<u8>)];

/// What callers of the admin port look at beside the status and the body.
const ADMIN_HEADERS: [&str; 1] = ["content-type"];

struct Page<'a> {
    names: &'a Names,
    admin: bool,
    compare: &'a Compare,
    mask: Option<Regex>,
    lines: Vec<String>,
}

/// What one side showed of a case.
pub fn render(case: &Case, names: &Names, seen: &Observation) -> Vec<String> {
    let compare = &case.options.compare;
    let mask = compare.mask.as_deref().and_then(|mask| Regex::new(mask).ok());
    let mut page = Page { names, compare, mask, lines: Vec::new(), admin: false };
    for (index, heard) in seen.heard.iter().enumerate() {
        page.lines.push(format!("client {}", index + 1));
        page.admin = case.clients.get(index).is_some_and(|client| client.to == "ADMIN");
        page.heard(heard);
    }
    page.admin = false;
    if !page.skips("upstream") {
        page.upstream(&seen.seen);
    }
    if !page.skips("log") {
        let mut log = seen.log.clone();
        if case.options.concurrent || case.clients.iter().any(|client| client.together) {
            log.sort();
        }
        for line in log {
            page.push("log", &line);
        }
    }
    for (name, change) in &seen.counters {
        page.push("counter", &format!("{name} {change:+}"));
    }
    page.lines
}

impl Page<'_> {
    fn skips(&self, part: &str) -> bool {
        self.compare.skip.iter().any(|skipped| skipped.eq_ignore_ascii_case(part))
    }

    fn push(&mut self, label: &str, text: &str) {
        let text = self.names.normalize(text);
        let text = self
            .mask
            .as_ref()
            .map_or_else(|| text.clone(), |mask| mask.replace_all(&text, "…").into_owned());
        self.lines.push(format!("  {label} {text}").trim_end().to_owned());
    }

    fn heard(&mut self, heard: &Heard) {
        if let Some(connection) = &heard.connection {
            self.push("connection", connection);
        }
        for response in &heard.responses {
            if !response.head.start.is_empty() {
                self.head("<", &response.head.start, &response.head.lines);
                let is_gzip = response.head.value("content-encoding") == Some(b"gzip");
                let read = is_gzip.then(|| unzipped(&response.body)).flatten();
                let body = read.as_deref().unwrap_or(&response.body);
                self.body("<", body, &response.trailers);
            }
            if let Some(reset) = &response.reset {
                self.push("<", reset);
            } else if !response.complete {
                self.push("<", "(incomplete)");
            }
        }
        if !heard.bytes.is_empty() {
            self.push("< bytes", &text::show(&heard.bytes));
        }
        for frame in &heard.frames {
            self.push("<", frame);
        }
        if let Some(fate) = heard.fate.filter(|_| !self.skips("fate")) {
            self.push("fate", fate_name(fate, self.compare.reset));
        }
    }

    fn head(&mut self, mark: &str, start: &[u8], lines: &Lines) {
        self.push(mark, &text::show(start));
        self.headers(mark, lines);
    }

    fn headers(&mut self, mark: &str, lines: &Lines) {
        let mut sorted: Vec<_> = lines.iter().collect();
        sorted.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        for (name, value) in sorted {
            let lower = String::from_utf8_lossy(&name.to_ascii_lowercase()).into_owned();
            if self.admin && !ADMIN_HEADERS.contains(&lower.as_str()) {
                continue;
            }
            if self.skips(&lower) || self.skips("body") && lower == "content-length" {
                continue;
            }
            let value = match lower.as_str() {
                "date" if !value.ends_with(b"1970 00:00:00 GMT") => "<volatile>".to_owned(),
                "x-envoy-upstream-service-time" => "<volatile>".to_owned(),
                "x-envoy-expected-rq-timeout-ms" => full_second(&text::show(value)),
                _ => text::show(value),
            };
            self.push(mark, &format!("  {}: {value}", text::show(name)));
        }
    }

    fn body(&mut self, mark: &str, body: &[u8], trailers: &Lines) {
        if !body.is_empty() && !self.skips("body") {
            for line in self.body_lines(body) {
                self.push(mark, &format!("| {line}"));
            }
        }
        if !trailers.is_empty() {
            self.push(mark, "trailers");
            self.headers(mark, trailers);
        }
    }

    fn body_lines(&self, body: &[u8]) -> Vec<String> {
        let whole = String::from_utf8_lossy(body);
        if let Some(below) = &self.compare.shape {
            return serde_json::from_str(&whole)
                .map_or_else(|_| vec!["no JSON".to_owned()], |json| shape(&json, below));
        }
        let Some(wanted) = self.compare.lines.as_deref().and_then(|lines| Regex::new(lines).ok())
        else {
            return vec![text::show(body)];
        };
        whole.lines().filter(|line| wanted.is_match(line)).map(str::to_owned).collect()
    }

    /// Requests by upstream, in the order of their arrival there.
    fn upstream(&mut self, seen: &[Seen]) {
        let mut sorted: Vec<_> = seen.iter().collect();
        sorted.sort_by(|a, b| a.host.cmp(&b.host));
        let mut connections: BTreeMap<u64, usize> = BTreeMap::new();
        for seen in sorted {
            let next = connections.len() + 1;
            let connection = *connections.entry(seen.connection).or_insert(next);
            self.lines.push(format!("upstream ${}", seen.host));
            if self.compare.connections {
                self.push("on connection", &connection.to_string());
            }
            if let Some(tls) = &seen.tls {
                self.push("tls", tls);
            }
            self.head(">", &seen.head.start, &seen.head.lines);
            self.body(">", &seen.body, &seen.trailers);
            match (seen.whole, seen.abandoned) {
                (true, false) => {}
                (true, true) => self.push(">", "(abandoned)"),
                (false, false) => self.push(">", "(incomplete)"),
                (false, true) => self.push(">", "(incomplete, abandoned)"),
            }
        }
    }
}

/// What is left of a timeout after a retry, rounded up to a second: what was spent varies.
fn full_second(ms: &str) -> String {
    match ms.parse::<u64>() {
        Ok(left) if left > 1000 => (left.div_ceil(1000) * 1000).to_string(),
        _ => ms.to_owned(),
    }
}

fn fate_name(fate: Fate, exact: bool) -> &'static str {
    match fate {
        Fate::Kept => "kept",
        Fate::Reset if exact => "reset",
        // Which of them a client sees may depend on when the kernel saw unread bytes.
        Fate::Closed | Fate::Reset | Fate::Broken => "closed",
    }
}

/// The fate of a client as a word, for expectations.
pub fn fate_word(fate: Option<Fate>) -> &'static str {
    fate.map_or("left", |fate| fate_name(fate, true))
}
/// What was compressed: two encoders may write it differently.
fn unzipped(body: &[u8]) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    GzDecoder::new(body).read_to_end(&mut read).ok()?;
    Some(read)
}
