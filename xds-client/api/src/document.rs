//! A configuration file: parsed once, read as a message, and asked again for lines when a later stage
//! finds an error in what it says.

use prost::{Message, Name};

use crate::error::ReadError;
use crate::path::{self, Step};
use crate::read::{self, Source, Syntax, Unknown};
use crate::reflect::Pool;
use crate::tree::{self, Content, Node};

/// One or more texts that make one message, each over the ones before it.
#[derive(Clone, Debug)]
pub struct Document {
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    file: String,
    syntax: Syntax,
    root: Node,
}

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    /// Name of the file, as given.
    pub file: &'a str,
    /// Line in it, from 1.
    pub line: u32,
}

impl Document {
    /// The document in `text`. `file_name` is for errors; as in Envoy it also tells YAML (`.yaml`,
    /// `.yml`) from JSON, which differ only in how a `Struct` understands numbers.
    ///
    /// # Errors
    /// The text is not one document of YAML or JSON, or larger than it may be.
    pub fn parse(file_name: &str, text: impl AsRef<[u8]>) -> Result<Self, ReadError> {
        let extension = file_name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let is_yaml = ["yaml", "yml"].iter().any(|name| extension.eq_ignore_ascii_case(name));
        let syntax = if is_yaml { Syntax::Yaml } else { Syntax::Json };
        Self::layer(file_name, syntax, text.as_ref())
    }

    /// The document in `text`, which is YAML. `origin` is for errors.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn yaml(origin: &str, text: impl AsRef<[u8]>) -> Result<Self, ReadError> {
        Self::layer(origin, Syntax::Yaml, text.as_ref())
    }

    fn layer(file: &str, syntax: Syntax, text: &[u8]) -> Result<Self, ReadError> {
        let root = tree::parse(text).map_err(|fault| ReadError {
            file: file.into(),
            line: fault.line,
            path: fault.path,
            reason: fault.reason,
        })?;
        Ok(Self { layers: vec![Layer { file: file.into(), syntax, root }] })
    }

    /// This document with `overlay` over it, as protobuf merges messages: scalars replace, messages
    /// merge, lists grow at the end, entries of maps replace. (envoy: `--config-yaml` over `-c`)
    #[must_use]
    pub fn merged_with(mut self, overlay: Self) -> Self {
        self.layers.extend(overlay.layers);
        self
    }

    /// The message that the document holds.
    ///
    /// # Errors
    /// The first thing in it that is not as the message wants it.
    pub fn read<M: Message + Name + Default>(
        &self,
        pool: &Pool,
        mut unknown: Unknown<'_>,
    ) -> Result<M, ReadError> {
        let type_name = M::full_name();
        let mut bytes = Vec::new();
        for Layer { file, syntax, root } in &self.layers {
            // Encodings one after the other are the encoding of the merged message.
            let source = Source { pool, file, syntax: *syntax };
            read::read(source, root, &type_name, unknown.reborrow(), &mut bytes)?;
        }
        M::decode(bytes.as_slice()).map_err(|error| ReadError {
            file: self.layers.first().map(|layer| layer.file.clone()).unwrap_or_default(),
            line: 1,
            path: String::new(),
            reason: format!("not a message {type_name}: {error}"),
        })
    }

    /// Where the field `path` of the message stands, or the nearest thing around it that is in the
    /// document. If several layers set it, the last.
    #[must_use]
    pub fn locate(&self, path: &str) -> Location<'_> {
        let root = |layer| Place { layer, node: &layer.root, line: layer.root.line };
        let mut found: Vec<Place<'_>> = self.layers.iter().map(root).collect();
        for step in path::parse(path) {
            let next = match step {
                Step::Index(index) => element(&found, index).into_iter().collect(),
                Step::Field(name) => entries(&found, |key| path::is_spelling_of(key, &name)),
                Step::Key(name) => entries(&found, |key| key == name),
            };
            if next.is_empty() {
                break;
            }
            found = next;
        }
        found.last().map_or(Location { file: "", line: 1 }, |place| Location {
            file: &place.layer.file,
            line: place.line,
        })
    }
}

/// A node that was reached in one layer, and the line where a reader would look for it.
#[derive(Clone, Copy)]
struct Place<'a> {
    layer: &'a Layer,
    node: &'a Node,
    line: u32,
}

/// Where a key leads to, in every layer that has it.
fn entries<'a>(found: &[Place<'a>], is_key: impl Fn(&str) -> bool) -> Vec<Place<'a>> {
    let entry = |place: &Place<'a>| match &place.node.content {
        Content::Map(entries) => {
            let entry = entries.iter().find(|entry| is_key(&entry.key))?;
            Some(Place { node: &entry.node, line: entry.line, ..*place })
        }
        Content::List(_) | Content::Scalar(_) => None,
    };
    found.iter().filter_map(entry).collect()
}

/// The element `index` of the lists after each other. What is no list is a list of one.
fn element<'a>(found: &[Place<'a>], index: usize) -> Option<Place<'a>> {
    let mut before = 0;
    for place in found {
        let items = match &place.node.content {
            Content::List(items) => items.as_slice(),
            Content::Map(_) | Content::Scalar(_) => std::slice::from_ref(place.node),
        };
        if let Some(node) = index.checked_sub(before).and_then(|index| items.get(index)) {
            return Some(Place { node, line: node.line, ..*place });
        }
        before += items.len();
    }
    None
}
