//! Access logs of all pods of a world: which lines belong to a check.
//!
//! HTTP lines carry the user agent, which names the check. TCP lines are found by the client's port, and from there
//! by the port that each proxy called the next one from.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Map, Value};

use super::world::World;

/// Proxies write their logs once a second, as pilot-agent tells them to.
const FLUSH: Duration = Duration::from_millis(2_500);

/// Where the logs of a world ended when the checks began.
#[derive(Debug)]
pub struct Mark(Vec<(String, usize)>);

/// One line: the pod that wrote it, and its fields.
#[derive(Clone, Debug)]
pub struct Line {
    pub pod: String,
    pub fields: Map<String, Value>,
}

impl Line {
    fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Mark {
    /// # Errors
    /// When a log cannot be read.
    pub fn now(world: &World) -> Result<Self> {
        let mut all = Vec::new();
        for pod in world.pods.iter().filter(|pod| pod.log.exists()) {
            all.push((pod.spec.name.clone(), usize::try_from(fs::metadata(&pod.log)?.len())?));
        }
        Ok(Self(all))
    }

    /// Every access-log line since.
    pub fn lines(&self, world: &World) -> Vec<Line> {
        let mut all = Vec::new();
        for pod in &world.pods {
            let from = self.0.iter().find(|(name, _)| *name == pod.spec.name).map_or(0, |m| m.1);
            let text = fs::read(&pod.log).unwrap_or_default();
            let text = String::from_utf8_lossy(text.get(from..).unwrap_or_default()).into_owned();
            let parsed = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            for value in parsed {
                if let Value::Object(fields) = value
                    && fields.contains_key("response_flags")
                {
                    all.push(Line { pod: pod.spec.name.clone(), fields });
                }
            }
        }
        all
    }

    /// Waits until the logs of both worlds have been written; returns when they hold equally many lines, or it took too long.
    pub fn settle(marks: &[Self], worlds: &[World]) {
        let end = Instant::now() + FLUSH;
        let least = Instant::now() + FLUSH / 2;
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(100));
            let counts: BTreeSet<usize> =
                marks.iter().zip(worlds).map(|(mark, world)| mark.lines(world).len()).collect();
            if counts.len() == 1 && Instant::now() > least {
                return;
            }
        }
    }
}

/// The lines of the check with this tag, and those of connections that began with a client at one of these addresses.
pub fn of_check<'a>(lines: &'a [Line], tag: &str, clients: &[String]) -> Vec<&'a Line> {
    let mut found = BTreeSet::new();
    let is_tagged = |line: &Line| line.text("user_agent") == tag;
    found.extend(lines.iter().enumerate().filter(|(_, line)| is_tagged(line)).map(|(at, _)| at));
    let mut wanted: BTreeSet<&str> = clients.iter().map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    while let Some(address) = wanted.pop_first() {
        // Lines of HTTP have a user agent: another check's, when its port was used again.
        let is_next = |line: &Line| {
            line.text("downstream_remote_address") == address && line.text("user_agent").is_empty()
        };
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_next(line)) {
            found.insert(at);
            let next = line.text("upstream_local_address");
            if !next.is_empty() && seen.insert(next) {
                wanted.insert(next);
            }
        }
    }
    found.into_iter().filter_map(|at| lines.get(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pod: &str, from: &str, to: &str, agent: Option<&str>) -> Line {
        let value = serde_json::json!({
            "downstream_remote_address": from, "upstream_local_address": to, "user_agent": agent,
        });
        let Value::Object(fields) = value else { panic!() };
        Line { pod: pod.into(), fields }
    }

    #[test]
    fn lines_are_found_by_tag_and_along_connections() {
        let lines = [
            line("a", "1:1", "2:2", None),
            line("b", "2:2", "3:3", None),
            line("c", "1:1", "4:4", Some("other")),
            line("d", "9:9", "8:8", Some("tag")),
            line("e", "8:8", "7:7", None),
        ];
        let found = of_check(&lines, "tag", &["1:1".into()]);
        let pods: Vec<_> = found.iter().map(|line| line.pod.as_str()).collect();
        assert_eq!(pods, ["a", "b", "d"]);
    }
}
