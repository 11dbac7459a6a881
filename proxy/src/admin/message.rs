//! Requests to the admin server and its replies.

use std::cell::Cell;
use std::rc::Rc;

use serde::Serialize;
use tokio::sync::Notify;

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// True for `POST`.
    pub is_post: bool,
    /// The path, without its query.
    pub path: String,
    /// Parameters of the query, decoded, in their order.
    pub parameters: Vec<(String, String)>,
}

impl Request {
    /// Takes a target such as `/stats?filter=a%2e` apart.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parameters = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self {
            method: method.into(),
            is_post: method == "POST",
            path: path.into(),
            parameters: parameters.collect(),
        }
    }

    /// The first parameter of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// True if the parameter is there, with any value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    /// True if JSON is asked for.
    #[must_use]
    pub fn wants_json(&self) -> bool {
        self.parameter("format") == Some("json")
    }
}

/// Undoes percent encoding. A `+` stays: patterns have it.
fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let escaped = (byte == b'%').then(|| {
            let mut ahead = bytes.clone();
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(ahead.next())? * 16 + digit(ahead.next())?;
            bytes = ahead;
            u8::try_from(value).ok()
        });
        out.push(escaped.flatten().unwrap_or(byte));
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its media type.
    pub content_type: &'static str,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Plain text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: "text/plain; charset=UTF-8", body: body.into() }
    }

    /// What was asked for is done.
    #[must_use]
    pub fn ok() -> Self {
        Self::text(200, "OK\n")
    }

    /// A document in JSON, as Envoy indents it.
    #[must_use]
    pub fn json(document: &impl Serialize) -> Self {
        let mut body = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut body, format);
        match document.serialize(&mut serializer) {
            Ok(()) => {
                body.push(b'\n');
                Self { status: 200, content_type: "application/json", body }
            }
            Err(error) => Self::text(500, error.to_string()),
        }
    }
}

/// Tells the process to end at once.
#[derive(Clone, Debug, Default)]
pub struct Quit(Rc<(Cell<bool>, Notify)>);

impl Quit {
    /// Tells.
    pub fn tell(&self) {
        self.0.0.set(true);
        self.0.1.notify_waiters();
    }

    /// Waits until told.
    pub async fn told(&self) {
        let told = self.0.1.notified();
        if !self.0.0.get() {
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart() {
        let request = Request::new("GET", "/stats?usedonly&filter=a%2Eb%zz+%25&x=");
        assert_eq!(request.path, "/stats");
        assert!(request.has("usedonly") && !request.has("format") && !request.is_post);
        assert_eq!(request.parameter("filter"), Some("a.b%zz+%"));
        assert_eq!(request.parameter("x"), Some(""));
    }

    #[test]
    fn documents_are_indented_by_one() {
        let reply = Reply::json(&serde_json::json!({"a": [1]}));
        assert_eq!(reply.body, b"{\n \"a\": [\n  1\n ]\n}\n");
    }
}
