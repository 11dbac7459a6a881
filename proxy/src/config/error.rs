//! Why configuration is refused: which resource, which field, and what is wrong with it.

use std::fmt;

/// A refusal. Prints as `cluster up: load_assignment.endpoints[0]: reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Path of the field, from the message in which translation began.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.path, self.reason)
        }
    }
}

impl std::error::Error for ConfigError {}

/// A place in a message, on the stack of the translators that lead to it.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    parent: Option<&'a Self>,
    part: Part<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Root(&'a str),
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> At<'a> {
    /// Where translation begins; empty for a message that stands alone.
    #[must_use]
    pub const fn root(path: &'a str) -> Self {
        Self { parent: None, part: Part::Root(path) }
    }

    /// A field of the message here.
    #[must_use]
    pub const fn field<'b>(&'b self, name: &'b str) -> At<'b>
    where
        'a: 'b,
    {
        At { parent: Some(self), part: Part::Field(name) }
    }

    /// An element of the list here.
    #[must_use]
    pub const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), part: Part::Index(index) }
    }

    /// A value of the map here.
    #[must_use]
    pub const fn key<'b>(&'b self, key: &'b str) -> At<'b>
    where
        'a: 'b,
    {
        At { parent: Some(self), part: Part::Key(key) }
    }

    /// The refusal of what is here.
    #[must_use]
    pub fn error(&self, reason: impl fmt::Display) -> ConfigError {
        ConfigError { path: self.to_string(), reason: reason.to_string() }
    }

    /// The refusal of what is here because we have no such thing.
    #[must_use]
    pub fn unsupported(&self, what: impl fmt::Display) -> ConfigError {
        self.error(format_args!("{what} is not supported"))
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        let dot = if self.parent.is_some_and(|parent| !parent.is_empty()) { "." } else { "" };
        match self.part {
            Part::Root(path) => f.write_str(path),
            Part::Field(name) => write!(f, "{dot}{name}"),
            Part::Index(index) => write!(f, "[{index}]"),
            Part::Key(key) => write!(f, "[\"{key}\"]"),
        }
    }
}

impl At<'_> {
    fn is_empty(&self) -> bool {
        matches!(self.part, Part::Root("")) && self.parent.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_place() {
        let root = At::root("");
        let clusters = root.field("static_resources");
        let clusters = clusters.field("clusters");
        let cluster = clusters.index(2);
        let name = cluster.field("name");
        assert_eq!(
            name.error("is empty").to_string(),
            "static_resources.clusters[2].name: is empty"
        );
        let key = cluster.key("a.b");
        assert_eq!(key.to_string(), "static_resources.clusters[2][\"a.b\"]");
        assert_eq!(At::root("").error("x").to_string(), "x");
    }
}
