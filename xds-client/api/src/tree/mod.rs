//! YAML or JSON text as a tree in which every node knows its line.
//!
//! JSON is read as the YAML that it is, which also accepts what the proxies before us accept in it:
//! trailing commas, comments, names without quotes. Nothing is typed here: a scalar is text and
//! whether it was quoted, and what it means depends on the field that it is for ([`crate::read`]).

mod from_struct;
mod parse;

pub(crate) use from_struct::from_struct;
pub(crate) use parse::parse;

/// The text of one document.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 32 << 20;
/// One scalar. The largest that configuration holds are programs in base64.
pub(crate) const SCALAR_BYTES_MAX: usize = 16 << 20;
/// All nodes of a document, aliases expanded. A mesh of thousands of services has about 100,000.
pub(crate) const NODES_MAX: usize = 1_000_000;
/// Lists and maps inside each other. Protobuf stops at 100 too.
pub(crate) const DEPTH_MAX: usize = 100;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Line of its first character, from 1.
    pub line: u32,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// Text, not yet a number or anything else.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the text. No key occurs twice.
    Map(Vec<Entry>),
}

/// A scalar as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    /// Its text, escapes resolved.
    pub text: Box<str>,
    /// Written without quotes, so that it may be a number, a boolean or null.
    pub plain: bool,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The key, as text.
    pub key: Box<str>,
    /// Line of the key.
    pub line: u32,
    /// The value.
    pub node: Node,
}

impl Node {
    /// True for `null`, `~` and nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        match &self.content {
            Content::Scalar(scalar) => scalar.is_null(),
            Content::List(_) | Content::Map(_) => false,
        }
    }

    /// What it is, for an error.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.content {
            Content::Scalar(scalar) if scalar.is_null() => "null",
            Content::Scalar(_) => "a scalar",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}

impl Scalar {
    /// True for `null`, `~` and nothing at all, without quotes.
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

#[cfg(test)]
mod tests;
