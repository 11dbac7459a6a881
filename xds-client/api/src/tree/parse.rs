//! From the events of the YAML parser to a tree, with a limit on everything.
//!
//! What YAML has and configuration does not need is refused by name: several documents in one file,
//! tags, keys that are not scalars, a key twice. Aliases are copied, and every copy counts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::mem;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle};

use super::{
    Content, DEPTH_MAX, DOCUMENT_BYTES_MAX, Entry, NODES_MAX, Node, SCALAR_BYTES_MAX, Scalar,
};
use crate::path::{Path, Step};

/// Why a text is not one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Line, from 1.
    pub line: u32,
    /// The way there, with the file's names for fields. Empty if the text itself is at fault.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

type Result<T> = std::result::Result<T, Fault>;

/// The tree of `text`, which must hold one document.
pub(crate) fn parse(text: &[u8]) -> Result<Node> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return fail(1, format!("longer than {DOCUMENT_BYTES_MAX} bytes"));
    }
    let text = match str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let before = text.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            return fail(line, "not UTF-8");
        }
    };

    let mut options = Options::default();
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    options.set_emit_comments(false);

    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.event(event, span.start.line())?,
            Err(error) => return fail(error.marker().line(), error.info()),
        }
    }
    match builder.root {
        Some(root) => Ok(root),
        None => fail(1, "empty: expected a map"),
    }
}

fn fail<T>(line: usize, reason: impl Into<String>) -> Result<T> {
    Err(Fault { line: narrow(line), path: String::new(), reason: reason.into() })
}

/// How many lists and maps stand in each other; no node has more than [`DEPTH_MAX`].
fn levels(node: &Node) -> usize {
    match &node.content {
        Content::Scalar(_) => 0,
        Content::List(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Content::Map(entries) => {
            1 + entries.iter().map(|entry| levels(&entry.node)).max().unwrap_or(0)
        }
    }
}

fn narrow(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

#[derive(Default)]
struct Builder {
    /// Lists and maps that have begun and not ended, outermost first.
    open: Vec<Open>,
    /// What aliases stand for, and how much of the budget a copy takes.
    anchors: HashMap<usize, (Node, Budget)>,
    spent: Budget,
    in_document: bool,
    root: Option<Node>,
}

/// What a document is limited in.
#[derive(Clone, Copy, Default)]
struct Budget {
    nodes: usize,
    bytes: usize,
}

struct Open {
    line: usize,
    anchor: usize,
    /// Before it began.
    spent: Budget,
    content: Content,
    /// A key that waits for its value, and its line.
    key: Option<(Box<str>, u32)>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<()> {
        if let Some(tag) = event.tag() {
            return self.fail(line, format!("the tag {}: tags are not supported", tag.original()));
        }
        match event {
            Event::DocumentStart(..) if mem::replace(&mut self.in_document, true) => {
                self.fail(line, "a second document: expected one")
            }
            Event::Scalar(text, style, anchor, _) => {
                let before = self.spent;
                if text.len() > SCALAR_BYTES_MAX {
                    let reason = format!("a scalar of more than {SCALAR_BYTES_MAX} bytes");
                    return self.fail(line, reason);
                }
                self.spend(Budget { nodes: 1, bytes: text.len() }, line)?;
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar(Scalar { text: text.into(), plain });
                self.complete(content, line, anchor, before)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(Content::List(Vec::new()), line, anchor)
            }
            Event::MappingStart(_, anchor, _) => self.begin(Content::Map(Vec::new()), line, anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                if let Content::Map(entries) = &open.content {
                    self.refuse_duplicates(entries)?;
                }
                self.complete(open.content, open.line, open.anchor, open.spent)
            }
            Event::Alias(anchor) => {
                let Some((node, budget)) = self.anchors.get(&anchor) else {
                    return self.fail(line, "an alias inside what it stands for");
                };
                if self.open.len() + levels(node) > DEPTH_MAX {
                    return self.too_deep(line);
                }
                self.spend(*budget, line)?;
                match self.anchors.get(&anchor).cloned() {
                    Some((node, _)) => self.attach(node),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, content: Content, line: usize, anchor: usize) -> Result<()> {
        if self.open.len() >= DEPTH_MAX {
            return self.too_deep(line);
        }
        let spent = self.spent;
        self.spend(Budget { nodes: 1, bytes: 0 }, line)?;
        self.open.push(Open { line, anchor, spent, content, key: None });
        Ok(())
    }

    /// A node has ended: keeps a copy if it has an anchor, and puts it where it belongs.
    fn complete(
        &mut self,
        content: Content,
        line: usize,
        anchor: usize,
        before: Budget,
    ) -> Result<()> {
        let node = Node { line: narrow(line), content };
        if anchor != 0 {
            let copy = Budget {
                nodes: self.spent.nodes - before.nodes,
                bytes: self.spent.bytes - before.bytes,
            };
            self.spend(copy, line)?;
            self.anchors.insert(anchor, (node.clone(), copy));
        }
        self.attach(node)
    }

    fn attach(&mut self, node: Node) -> Result<()> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.content, open.key.take(), node.content) {
            (Content::Map(entries), Some((key, line)), content) => {
                entries.push(Entry { key, line, node: Node { content, ..node } });
            }
            (Content::Map(_), None, Content::Scalar(scalar)) => {
                open.key = Some((scalar.text, node.line));
            }
            (Content::Map(_), None, _) => {
                return self.fail(node.line as usize, "a list or map as a key: expected a name");
            }
            (Content::List(items), _, content) => items.push(Node { content, ..node }),
            (Content::Scalar(_), ..) => {}
        }
        Ok(())
    }

    fn too_deep(&self, line: usize) -> Result<()> {
        self.fail(line, format!("more than {DEPTH_MAX} levels of lists and maps"))
    }

    fn spend(&mut self, cost: Budget, line: usize) -> Result<()> {
        self.spent.nodes = self.spent.nodes.saturating_add(cost.nodes);
        self.spent.bytes = self.spent.bytes.saturating_add(cost.bytes);
        if self.spent.nodes > NODES_MAX {
            return self.fail(line, format!("more than {NODES_MAX} values, aliases expanded"));
        }
        if self.spent.bytes > DOCUMENT_BYTES_MAX {
            let reason = format!("longer than {DOCUMENT_BYTES_MAX} bytes, aliases expanded");
            return self.fail(line, reason);
        }
        Ok(())
    }

    fn refuse_duplicates(&self, entries: &[Entry]) -> Result<()> {
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort_by_key(|entry| (&entry.key, entry.line));
        for (first, second) in sorted.iter().zip(sorted.iter().skip(1)) {
            if first.key == second.key {
                let reason = format!("the key {:?} is already on line {}", second.key, first.line);
                return self.fail(second.line as usize, reason);
            }
        }
        Ok(())
    }

    fn fail<T>(&self, line: usize, reason: impl Into<String>) -> Result<T> {
        let step = |open: &'_ Open| match (&open.content, &open.key) {
            (Content::List(items), _) => Some(Step::Index(items.len())),
            (_, Some((key, _))) => Some(Step::Field(Cow::Owned(key.to_string()))),
            (_, None) => None,
        };
        let steps: Vec<Step<'_>> = self.open.iter().filter_map(step).collect();
        Err(Fault { line: narrow(line), path: Path(&steps).to_string(), reason: reason.into() })
    }
}
