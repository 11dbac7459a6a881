//! Fields of an encoded message that no descriptor of ours knows: a control plane that is newer than this proxy says something that has no
//! effect, and a person ought to hear of it. (envoy: `server.dynamic_unknown_fields`)
//!
//! [`find`] reads bytes and decodes nothing; an `Any` of a known type is followed. The table of numbers is made by `build.rs`. Bytes that are no
//! message, and what lies deeper than anything that is ever decoded, end the search where they stand: whoever decodes them will refuse them.

use std::fmt::Write as _;

use prost::encoding::{self, DecodeContext, WireType};

use crate::any;

/// Paths that are kept of one message; the others are counted.
const PATHS_MAX: usize = 8;

/// Messages in messages that are followed. A decoder gives up after 100, and begins to count anew in each `Any`.
const DEPTH_MAX: usize = 128;

/// The fields of all messages, as `build/known.rs` writes them.
struct Known {
    text: &'static str,
    /// Sorted by name: where it stands in the text, how long it is, the first field and the one after the last.
    messages: &'static [[u32; 4]],
    /// Sorted by number in each message: number, where the name stands, twice its length and 1 if repeated, and 0 or the message in it, from 1.
    fields: &'static [[u32; 4]],
}

static KNOWN: Known = include!(concat!(env!("OUT_DIR"), "/known.rs"));

/// A message of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Message(u32);

/// A field of the table.
#[derive(Clone, Copy)]
struct Field {
    number: u32,
    name: &'static str,
    is_repeated: bool,
    holds: Option<Message>,
}

impl Known {
    fn name(&self, at: u32, len: u32) -> &'static str {
        let (at, len) = (at as usize, len as usize);
        self.text.get(at..at + len).unwrap_or_default()
    }

    fn message(&self, full_name: &str) -> Option<Message> {
        let found =
            self.messages.binary_search_by(|[at, len, ..]| self.name(*at, *len).cmp(full_name));
        u32::try_from(found.ok()?).ok().map(Message)
    }

    fn field(&self, Message(message): Message, number: u32) -> Option<Field> {
        let [_, _, first, end] = *self.messages.get(message as usize)?;
        let fields = self.fields.get(first as usize..end as usize)?;
        let place = fields.binary_search_by_key(&number, |[number, ..]| *number).ok()?;
        let [_, at, len, holds] = *fields.get(place)?;
        Some(Field {
            number,
            name: self.name(at, len / 2),
            is_repeated: len % 2 == 1,
            holds: holds.checked_sub(1).map(Message),
        })
    }
}

/// What was found in one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// How many fields, each occurrence on its own.
    pub count: u64,
    /// Where the first of them stand: `filter_chains[0].filters[0].typed_config.9999`, the last part being the number of the field. At most eight.
    pub paths: Vec<String>,
}

/// The unknown fields of `bytes`, an encoded message of the type with this full name. Nothing if the type itself is not known.
#[must_use]
pub fn find(type_name: &str, bytes: &[u8]) -> Unknown {
    let mut walk = Walk {
        any: KNOWN.message("google.protobuf.Any"),
        links: Vec::new(),
        found: Unknown::default(),
    };
    if let Some(message) = KNOWN.message(type_name) {
        walk.message(message, bytes);
    }
    walk.found
}

struct Walk<'a> {
    any: Option<Message>,
    /// From the outermost message to the one that is read.
    links: Vec<Link<'a>>,
    found: Unknown,
}

/// From a message to one in it.
struct Link<'a> {
    field: Field,
    /// What the outer message has before it.
    before: &'a [u8],
}

impl<'a> Walk<'a> {
    /// Reads a message; nothing comes back if its bytes are none.
    fn message(&mut self, message: Message, bytes: &'a [u8]) -> Option<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = bytes.get(..bytes.len() - rest.len())?;
            let (number, value) = next(&mut rest)?;
            let Some(field) = KNOWN.field(message, number) else {
                self.report(number);
                continue;
            };
            let (Some(value), Some(inner)) = (value, field.holds) else { continue };
            if self.links.len() < DEPTH_MAX {
                self.links.push(Link { field, before });
                self.message(inner, value);
                if self.any == Some(inner) {
                    self.open(value);
                }
                self.links.pop();
            }
        }
        Some(())
    }

    /// Reads the message in an `Any`, if its type is known.
    fn open(&mut self, any: &'a [u8]) -> Option<()> {
        let (mut type_url, mut inner): (&[u8], &[u8]) = (&[], &[]);
        let mut rest = any;
        while !rest.is_empty() {
            match next(&mut rest)? {
                (1, Some(value)) => type_url = value,
                (2, Some(value)) => inner = value,
                _ => {}
            }
        }
        let type_name = any::type_name(std::str::from_utf8(type_url).ok()?)?;
        self.message(KNOWN.message(type_name)?, inner)
    }

    fn report(&mut self, number: u32) {
        self.found.count += 1;
        if self.found.paths.len() == PATHS_MAX {
            return;
        }
        let mut path = String::new();
        for Link { field, before } in &self.links {
            path.push_str(field.name);
            if field.is_repeated {
                // Writing to a text cannot fail.
                let _ = write!(path, "[{}]", occurrences(before, field.number));
            }
            path.push('.');
        }
        let _ = write!(path, "{number}");
        self.found.paths.push(path);
    }
}

/// How often a field stands in this beginning of a message.
fn occurrences(mut bytes: &[u8], number: u32) -> usize {
    std::iter::from_fn(|| next(&mut bytes)).filter(|(found, _)| *found == number).count()
}

/// Takes a field from the front: its number, and its bytes if it is one that has a length.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    let (number, wire_type) = encoding::decode_key(rest).ok()?;
    if wire_type != WireType::LengthDelimited {
        encoding::skip_field(wire_type, number, rest, DecodeContext::default()).ok()?;
        return Some((number, None));
    }
    let len = usize::try_from(encoding::decode_varint(rest).ok()?).ok()?;
    let (value, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some((number, Some(value)))
}

#[cfg(test)]
mod tests;
