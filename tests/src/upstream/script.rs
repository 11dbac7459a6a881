//! What the recording upstream answers: the data of a case that says how an upstream behaves.
//!
//! A script is a sequence of replies. The n-th request of a case gets the n-th reply, the last one
//! repeats, so "two failures, then success" is three entries. A script may be written per upstream.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

/// One scripted answer. Its fields are documented in `tests/README.md` with the case format.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    /// Informational responses sent first, each a status and header lines: `103 link: </a>`.
    pub early: Vec<String>,
    /// Answers on the request's head instead of its end.
    pub eager: bool,
    pub delay_ms: u64,
    /// 200 when absent.
    pub status: Option<u16>,
    pub reason: Option<String>,
    /// Header lines, `name: value`.
    pub headers: Vec<String>,
    /// `ok` when absent and the status allows a body.
    pub body: Option<String>,
    /// A body of this many `x` instead.
    pub body_bytes: Option<usize>,
    /// The pause before the second half of the body.
    pub body_delay_ms: u64,
    pub chunked: bool,
    /// HTTP/1: neither length nor chunks, the close is the end.
    pub until_close: bool,
    /// Trailer lines; on HTTP/1 they make the body chunked.
    pub trailers: Vec<String>,
    /// HTTP/1: these bytes instead of a response.
    pub raw: Option<String>,
    /// 101, then echo; a 200 to an HTTP/2 CONNECT, then echo.
    pub upgrade: bool,
    /// Instead of a response.
    pub fail: Option<Fail>,
    /// After the response.
    pub end: End,
    /// HTTP/2: the code of a reset, by default CANCEL.
    pub h2_code: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Fail {
    Close,
    Reset,
    Hang,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum End {
    #[default]
    Keep,
    Close,
    /// Closes in the middle of the body.
    Cut,
    /// Resets in the middle of the body.
    Reset,
    /// HTTP/2: GOAWAY.
    Goaway,
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.status.unwrap_or(if self.upgrade { 101 } else { 200 })
    }

    /// The body, empty where the status forbids one.
    pub fn body(&self) -> Vec<u8> {
        match (&self.body, self.body_bytes, self.status()) {
            (_, _, 100..200 | 204 | 304) => Vec::new(),
            (_, Some(count), _) => vec![b'x'; count],
            (Some(text), None, _) => crate::text::bytes(text),
            (None, None, _) => b"ok".to_vec(),
        }
    }
}

/// `name: value` lines as pairs.
pub fn pairs(lines: &[String]) -> impl Iterator<Item = (&str, &str)> {
    lines
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
}

/// The replies of one case and how many of them were used.
#[derive(Clone, Debug, Default)]
pub struct Script {
    shared: Vec<Reply>,
    by_host: BTreeMap<String, Vec<Reply>>,
    used: HashMap<String, usize>,
}

impl Script {
    /// Reads a list of replies, or a map from upstream to such a list.
    ///
    /// # Errors
    /// When the data has neither form.
    pub fn from_value(value: Value) -> Result<Self> {
        let mut script = Self::default();
        match value {
            Value::Null => {}
            Value::Array(_) => script.shared = serde_json::from_value(value).context("upstream")?,
            _ => script.by_host = serde_json::from_value(value).context("upstream")?,
        }
        Ok(script)
    }

    /// The reply for the next request that `host` got.
    pub fn next(&mut self, host: &str) -> Reply {
        let (key, replies) =
            self.by_host.get(host).map_or_else(|| ("", &self.shared), |replies| (host, replies));
        let used = self.used.entry(key.to_owned()).or_default();
        let reply = replies.get(*used).or_else(|| replies.last());
        *used += 1;
        reply.cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_reply_repeats_and_hosts_count_for_themselves() {
        let mut script = Script::from_value(json!([{"status": 503}, {"status": 204}])).unwrap();
        let statuses = ["A", "B", "A"].map(|host| script.next(host).status());
        assert_eq!(statuses, [503, 204, 204]);

        let mut script = Script::from_value(json!({"A": [{"status": 500}, {}]})).unwrap();
        let statuses = ["A", "B", "A"].map(|host| script.next(host).status());
        assert_eq!(statuses, [500, 200, 200]);
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        assert!(Script::from_value(json!([{"statsu": 503}])).is_err());
    }

    #[test]
    fn a_status_without_body_has_none() {
        let reply = Reply { status: Some(304), body: Some("x".into()), ..Reply::default() };
        assert!(reply.body().is_empty());
        assert_eq!(Reply::default().body(), b"ok");
    }
}
