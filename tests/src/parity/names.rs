//! Names for what differs between two runs, replaced both ways: `$UPSTREAM1` in a case file becomes a
//! port for the proxy, and that port becomes `$UPSTREAM1` again in what is compared.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use regex::{Captures, Regex};
use serde_json::Value;

/// The names of one side: ports, and the directories `$TMP` and `$CERTS`.
#[derive(Debug)]
pub struct Names {
    ports: BTreeMap<String, u16>,
    tmp: String,
    certs: String,
    reference: Regex,
    volatile: Vec<(Regex, &'static str)>,
    id: Regex,
    known_ports: Regex,
}

impl Names {
    /// # Errors
    /// Never in practice: the patterns are constants but for the ports.
    pub fn new(ports: BTreeMap<String, u16>, tmp: &Path, certs: &Path) -> Result<Self> {
        let alternatives: Vec<_> = ports.values().map(u16::to_string).collect();
        Ok(Self {
            tmp: tmp.display().to_string(),
            certs: certs.display().to_string(),
            reference: Regex::new(r"\$([A-Z]+[0-9]*(?:_[a-z0-9_]+)?)\b")?,
            volatile: vec![
                (Regex::new(r"127\.0\.0\.(\d+):\d{4,5}\b")?, "127.0.0.$1:<port>"),
                (Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?")?, "<time>"),
                (Regex::new(r"\bms=\d+\b")?, "ms=<n>"),
                (Regex::new(r"\b1[6-9]\d{8}(\d{3}|\d{6}|\d{9})?\b")?, "<epoch>"),
            ],
            id: Regex::new(
                r"\b[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b",
            )?,
            known_ports: Regex::new(&format!(r"\b({})\b", alternatives.join("|")))?,
            ports,
        })
    }

    /// A string of a case file with its names replaced.
    ///
    /// # Errors
    /// When a name means nothing.
    pub fn fill(&self, text: &str) -> Result<String> {
        let mut unknown = None;
        let filled = self.reference.replace_all(text, |found: &Captures<'_>| {
            let name = found.get(1).map_or("", |name| name.as_str());
            match (name, self.ports.get(name.strip_prefix("PORT_").unwrap_or(name))) {
                ("TMP", _) => self.tmp.clone(),
                ("CERTS", _) => self.certs.clone(),
                ("LOG", _) => format!("{}/access.log", self.tmp),
                (_, Some(port)) => port.to_string(),
                // The expansion of `text::repeat`, which comes later.
                ("REPEAT", None) => "$REPEAT".to_owned(),
                (_, None) => {
                    unknown = Some(name.to_owned());
                    String::new()
                }
            }
        });
        match unknown {
            Some(name) => bail!("${name} means nothing in {text:?}"),
            None => Ok(filled.into_owned()),
        }
    }

    /// Every string of a document; one that is nothing but a port's name becomes a number.
    ///
    /// # Errors
    /// When a name means nothing.
    pub fn fill_all(&self, value: &mut Value) -> Result<()> {
        match value {
            Value::String(text) => {
                let whole =
                    text.strip_prefix('$').map(|name| name.strip_prefix("PORT_").unwrap_or(name));
                *value = match whole.and_then(|name| self.ports.get(name)) {
                    Some(port) => Value::from(*port),
                    None => Value::String(self.fill(text)?),
                };
            }
            Value::Array(all) => all.iter_mut().try_for_each(|one| self.fill_all(one))?,
            Value::Object(all) => all.values_mut().try_for_each(|one| self.fill_all(one))?,
            _ => {}
        }
        Ok(())
    }

    /// Text from a proxy with everything volatile replaced.
    pub fn normalize(&self, text: &str) -> String {
        let mut out = text.replace(&self.certs, "$CERTS").replace(&self.tmp, "$TMP");
        out = self
            .known_ports
            .replace_all(&out, |found: &Captures<'_>| self.name_of(found))
            .into_owned();
        for (pattern, replacement) in &self.volatile {
            out = pattern.replace_all(&out, *replacement).into_owned();
        }
        self.id.replace_all(&out, id_without_chance).into_owned()
    }

    fn name_of(&self, found: &Captures<'_>) -> String {
        let text = found.get(0).map_or("", |port| port.as_str());
        let known = self.ports.iter().find(|(_, port)| port.to_string() == text);
        known.map_or_else(|| text.to_owned(), |(name, _)| format!("${name}"))
    }
}

/// Of a generated id only the nibble is no chance that tells why its request is traced. The ids that
/// case files send begin with `c0ffee` and are kept.
fn id_without_chance(found: &Captures<'_>) -> String {
    let (id, [nibble]) = found.extract();
    if id.starts_with("c0ffee") { id.to_owned() } else { format!("<uuid {nibble}>") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        let ports = BTreeMap::from([("UPSTREAM1".to_owned(), 4001), ("main".to_owned(), 61001)]);
        Names::new(ports, Path::new("/tmp/p"), Path::new("/tmp/c")).unwrap()
    }

    #[test]
    fn names_become_values_and_a_lone_port_a_number() {
        let mut value =
            json!({"a": ["$UPSTREAM1", "x:$PORT_main", "$CERTS/ca.crt", "$LOG", "^/a$"]});
        names().fill_all(&mut value).unwrap();
        assert_eq!(
            value,
            json!({"a": [4001, "x:61001", "/tmp/c/ca.crt", "/tmp/p/access.log", "^/a$"]})
        );
        assert!(names().fill("$UPSTREAM9").is_err());
    }

    #[test]
    fn volatile_text_becomes_names() {
        let cases = [
            ("host=127.0.0.1:4001", "host=127.0.0.1:$UPSTREAM1"),
            ("from 127.0.0.2:54321", "from 127.0.0.2:<port>"),
            ("id 6a7f9d8e-1111-4222-9333-123456789abc", "id <uuid 4>"),
            ("id c0ffee00-1111-4222-9333-123456789abc", "id c0ffee00-1111-4222-9333-123456789abc"),
            ("at 2024-01-02T03:04:05.678Z ms=12 end", "at <time> ms=<n> end"),
            ("length 40010", "length 40010"),
        ];
        for (text, expected) in cases {
            assert_eq!(names().normalize(text), expected);
        }
    }
}
