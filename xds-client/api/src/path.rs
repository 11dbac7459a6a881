//! Field paths: `static_resources.listeners[0].metadata.filter_metadata["istio"]`.
//!
//! The reader writes them into its errors; [`crate::Document::locate`] reads those of later stages, to
//! say on which line a field stands. Fields are named as in Envoy's API, whatever the file's spelling.

use std::borrow::Cow;
use std::fmt;

/// One step from a message or value to what it contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A field of a message. Owned where the file spells it in the other way.
    Field(Cow<'a, str>),
    /// An element of a list, from 0.
    Index(usize),
    /// An entry of a map.
    Key(&'a str),
}

/// Steps as text.
pub(crate) struct Path<'a>(pub &'a [Step<'a>]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

/// The steps of `path`, up to the first part that is none. Keys with a quote or a backslash in them
/// are not understood.
pub(crate) fn parse(path: &str) -> impl Iterator<Item = Step<'_>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        let (step, after) = first(rest)?;
        rest = after;
        Some(step)
    })
}

fn first(path: &str) -> Option<(Step<'_>, &str)> {
    if let Some(quoted) = path.strip_prefix("[\"") {
        let (key, rest) = quoted.split_once("\"]")?;
        return Some((Step::Key(key), rest));
    }
    if let Some(bracketed) = path.strip_prefix('[') {
        let (index, rest) = bracketed.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    (!name.is_empty()).then_some((Step::Field(Cow::Borrowed(name)), rest))
}

/// True if `key` is the field `name` in either spelling: `connect_timeout` or `connectTimeout`.
pub(crate) fn is_spelling_of(key: &str, name: &str) -> bool {
    if key == name {
        return true;
    }
    let mut after_underscore = false;
    let camel = name.chars().filter_map(|c| {
        let upper = std::mem::replace(&mut after_underscore, c == '_');
        (c != '_').then(|| if upper { c.to_ascii_uppercase() } else { c })
    });
    camel.eq(key.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_it_is_written() {
        use Step::{Index, Key};
        let field = |name| Step::Field(Cow::Borrowed(name));
        for (text, steps) in [
            ("", vec![]),
            ("node", vec![field("node")]),
            (
                "static_resources.clusters[12].metadata.filter_metadata[\"a.b[0]\"].x",
                vec![
                    field("static_resources"),
                    field("clusters"),
                    Index(12),
                    field("metadata"),
                    field("filter_metadata"),
                    Key("a.b[0]"),
                    field("x"),
                ],
            ),
            ("a[0][1]", vec![field("a"), Index(0), Index(1)]),
        ] {
            assert_eq!(parse(text).collect::<Vec<_>>(), steps, "{text}");
            assert_eq!(Path(&steps).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_path_ends_it() {
        for (text, steps) in
            [("a[x].b", 1), ("a[", 1), ("a..b", 1), ("a[\"b", 1), (".", 0), ("[]", 0)]
        {
            assert_eq!(parse(text).count(), steps, "{text}");
        }
    }

    #[test]
    fn a_field_has_two_spellings() {
        for (key, name, expected) in [
            ("connect_timeout", "connect_timeout", true),
            ("connectTimeout", "connect_timeout", true),
            ("h2OverX", "h2_over_x", true),
            ("ConnectTimeout", "connect_timeout", false),
            ("connecttimeout", "connect_timeout", false),
            ("connect", "connect_timeout", false),
        ] {
            assert_eq!(is_spelling_of(key, name), expected, "{key} {name}");
        }
    }
}
