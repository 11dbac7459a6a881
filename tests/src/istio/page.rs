//! What a world showed of a check, as lines of text in which chance is masked. Equal answers are one section with their number.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::call::Answer;
use super::check::Check;
use super::log::Line;

/// Fields of a log line of which only the presence counts.
const CHANCE: [&str; 5] =
    ["start_time", "duration", "upstream_service_time", "request_id", "connection_id"];

const CLIENTS: [&str; 2] = ["downstream_remote_address", "upstream_local_address"];

/// The page of a check in one world.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub lines: Vec<String>,
    /// A few words for the table.
    pub summary: String,
    /// By status and pod.
    pub counts: BTreeMap<String, usize>,
}

/// Makes the page of `answers` and the log lines that belong to them.
pub fn page(check: &Check, tag: &str, answers: &[Answer], log: &[&Line]) -> Page {
    let mask = Mask::new(check, tag);
    let mut counts = BTreeMap::new();
    let mut sections: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for answer in answers {
        *counts.entry(word(answer)).or_default() += 1;
        *sections.entry(mask.answer(answer)).or_default() += 1;
    }
    let mut lines = Vec::new();
    for (section, count) in sections {
        lines.push(format!("{count} ×"));
        lines.extend(section);
    }
    if !check.skips("log") {
        let mut logged: BTreeMap<String, usize> = BTreeMap::new();
        for line in log {
            *logged.entry(mask.log(line)).or_default() += 1;
        }
        lines.extend(logged.into_iter().map(|(line, count)| format!("log {count} × {line}")));
    }
    let summary = counts.iter().map(|(word, count)| match count {
        1 => word.clone(),
        count => format!("{word} ×{count}"),
    });
    Page { lines, summary: summary.collect::<Vec<_>>().join(", "), counts }
}

fn word(answer: &Answer) -> String {
    if answer.status == 0 && answer.body.is_empty() {
        return answer.end.clone();
    }
    let who = answer.by().map(str::to_owned).or_else(|| {
        // A TCP greeting is a pod's name.
        let greeting = answer.body.split_once('>').map(|(name, _)| name.to_owned());
        greeting.filter(|_| answer.status == 0)
    });
    let status = if answer.status == 0 { "tcp".into() } else { answer.status.to_string() };
    let end = if answer.end == "whole" { "" } else { &answer.end };
    [status, who.unwrap_or_default(), end.to_owned()].join(" ").trim_end().to_owned()
}

struct Mask<'a> {
    check: &'a Check,
    tag: &'a str,
    own: Option<Regex>,
    all: Vec<(Regex, &'static str)>,
}

impl<'a> Mask<'a> {
    fn new(check: &'a Check, tag: &'a str) -> Self {
        // Written here, so they compile; if one did not, comparisons would fail loudly.
        let patterns = [
            (r"Hash=[0-9a-f]{64}", "Hash=…"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "…uuid…"),
            // Ports that the kernel gave; those of services are lower.
            (r"\b(\d+\.\d+\.\d+\.\d+):(3[3-9]|4\d|5\d|6[0-5])\d{3}\b", "$1:…"),
        ];
        let all = patterns.iter().filter_map(|(from, to)| Some((Regex::new(from).ok()?, *to)));
        let own = check.mask.as_deref().and_then(|mask| Regex::new(mask).ok());
        Self { check, tag, own, all: all.collect() }
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.replace(self.tag, "TAG");
        for (pattern, to) in &self.all {
            text = pattern.replace_all(&text, *to).into_owned();
        }
        self.own(text)
    }

    fn own(&self, text: String) -> String {
        match &self.own {
            Some(mask) => mask.replace_all(&text, "…").into_owned(),
            None => text,
        }
    }

    fn answer(&self, answer: &Answer) -> Vec<String> {
        let mut lines = Vec::new();
        if answer.status > 0 {
            lines.push(format!("  < {}", answer.start));
            self.headers(&answer.headers, &mut lines);
        }
        if !self.check.skips("body") {
            lines.extend(answer.body.lines().map(|line| format!("  | {}", self.text(line))));
        }
        if !answer.trailers.is_empty() {
            lines.push("  < trailers".into());
            self.headers(&answer.trailers, &mut lines);
        }
        if let Some(tls) = &answer.tls {
            lines.push(format!("  tls {tls}"));
        }
        if !self.check.skips("end") {
            lines.push(format!("  end {}", answer.end));
        }
        lines
    }

    fn headers(&self, headers: &[(String, String)], lines: &mut Vec<String>) {
        let mut sorted: Vec<_> = headers.iter().collect();
        sorted.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        for (name, value) in sorted {
            let skipped = self.check.skips(name)
                || self.check.skips("body") && name.eq_ignore_ascii_case("content-length");
            if skipped {
                continue;
            }
            let chance = ["date", "x-envoy-upstream-service-time"];
            let value = if chance.iter().any(|chance| name.eq_ignore_ascii_case(chance)) {
                "…".to_owned()
            } else {
                self.text(value)
            };
            lines.push(format!("  < {name}: {value}"));
        }
    }

    /// `POD field=value …`, in the order of the line.
    fn log(&self, line: &Line) -> String {
        self.own(format!("{} {}", line.pod, self.fields(&line.fields)))
    }

    fn fields(&self, fields: &Map<String, Value>) -> String {
        let shown = fields.iter().map(|(name, value)| match value {
            value if CHANCE.contains(&name.as_str()) => {
                format!("{name}={}", if value.is_null() { "null" } else { "…" })
            }
            // Of a client's end only the host is no chance.
            Value::String(address) if CLIENTS.contains(&name.as_str()) => {
                format!("{name}={}", address.rsplit_once(':').map_or("", |(host, _)| host))
            }
            value => format!("{name}={}", self.text(&value.to_string())),
        });
        shown.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_masked_and_equal_answers_are_counted() {
        let answer = |port: &str, status| Answer {
            status,
            start: format!("HTTP/1.1 {status}"),
            headers: vec![("Date".into(), port.into()), ("x-pod".into(), "a".into())],
            body: format!("10.77.0.11:{port} 10.77.0.11:8080"),
            end: "whole".into(),
            ..Answer::default()
        };
        let check = Check::default();
        let answers = [answer("40001", 200), answer("60123", 200), answer("34000", 403)];
        let page = page(&check, "tag", &answers, &[]);
        assert_eq!(page.summary, "200 a ×2, 403 a");
        assert_eq!(page.lines.first().map(String::as_str), Some("2 ×"));
        assert!(page.lines.contains(&"  | 10.77.0.11:… 10.77.0.11:8080".to_owned()));
    }
}
