//! From a tree to the bytes of a message, with the message's descriptor as the guide.
//!
//! [`crate::Document`] calls it once per file. The bytes follow the order of the text, so the same text
//! always gives the same bytes: what watches files compares them. Rules of the JSON form of protobuf
//! apply (both spellings of a field, enums by name or number, well-known types), in the version that
//! Envoy's parser accepts; where that lets mistakes pass (a field twice, null in a list), this does not.

mod field;
mod message;
mod scalar;
mod wire;

use crate::error::ReadError;
use crate::path::{Path, Step};
use crate::reflect::Pool;
use crate::tree::Node;

pub(crate) use scalar::Syntax;

/// Messages inside each other, a map's entry counting as one. Decoders stop there.
const MESSAGE_DEPTH_MAX: usize = 100;

/// What to do with a field, or a value of an enum, that the message does not have.
#[derive(Debug)]
pub enum Unknown<'a> {
    /// It is an error.
    Refuse,
    /// It is left out, and its path collected. (envoy: `--allow-unknown-static-fields`)
    Collect(&'a mut Vec<String>),
}

impl Unknown<'_> {
    pub(crate) fn reborrow(&mut self) -> Unknown<'_> {
        match self {
            Self::Refuse => Unknown::Refuse,
            Self::Collect(paths) => Unknown::Collect(paths),
        }
    }
}

/// What the nodes of one tree have in common.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub pool: &'a Pool,
    /// For errors.
    pub file: &'a str,
    pub syntax: Syntax,
}

/// Appends `root`, read as a message `type_name`, to `out`.
pub(crate) fn read(
    source: Source<'_>,
    root: &Node,
    type_name: &str,
    unknown: Unknown<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ReadError> {
    let mut reader = Reader { source, unknown, path: Vec::new(), depth: 0 };
    match source.pool.message(type_name) {
        Some(descriptor) => reader.message(&descriptor, root, out),
        None => reader.fail(root.line, format!("no descriptor of the type {type_name}")),
    }
}

/// Walks one tree.
struct Reader<'a> {
    source: Source<'a>,
    unknown: Unknown<'a>,
    /// The way from the root to here.
    path: Vec<Step<'a>>,
    /// Messages around this one since the last `Any`.
    depth: usize,
}

type Result<T, E = ReadError> = std::result::Result<T, E>;

impl<'a> Reader<'a> {
    fn fail<T>(&self, line: u32, reason: impl Into<String>) -> Result<T> {
        Err(ReadError {
            file: self.source.file.into(),
            line,
            path: Path(&self.path).to_string(),
            reason: reason.into(),
        })
    }

    fn expected<T>(&self, what: &str, node: &Node) -> Result<T> {
        self.fail(node.line, format!("expected {what}, found {}", node.describe()))
    }

    /// Something unknown is here: an error, or a path for the caller.
    fn unknown(&mut self, line: u32, reason: String) -> Result<()> {
        match &mut self.unknown {
            Unknown::Refuse => self.fail(line, reason),
            Unknown::Collect(paths) => {
                paths.push(Path(&self.path).to_string());
                Ok(())
            }
        }
    }

    /// Runs `read` one step further in.
    fn at<T>(&mut self, step: Step<'a>, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.path.push(step);
        let result = read(self);
        self.path.pop();
        result
    }

    /// Runs `read` one message further in.
    fn deeper<T>(&mut self, line: u32, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MESSAGE_DEPTH_MAX {
            return self
                .fail(line, format!("more than {MESSAGE_DEPTH_MAX} messages inside each other"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }
}

#[cfg(test)]
mod tests;
