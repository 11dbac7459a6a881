//! What a real istiod was recorded to send, message by message, and as much of protobuf as it takes to tell what a message is about.
//!
//! A tape is `{f64 seconds, u32 length, message}` in big endian, repeated. A packed one says what is repeated once: it consists of parts,
//! `{0u8, u32 length, bytes}`, and of messages, `{1u8, f64 seconds, u32 count, u32 part…}`, each the parts of these numbers one after the other.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Messages in the order in which they were sent.
#[derive(Debug)]
pub struct Tape {
    pub messages: Vec<Vec<u8>>,
    /// Whether they are of the delta form.
    pub is_delta: bool,
}

/// What became of the resources of a type over a tape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Sent, the first time included.
    pub sent: u64,
    /// Sent again with other bytes.
    pub changed: u64,
    /// Sent again with the same bytes.
    pub repeated: u64,
}

impl Tape {
    /// Reads a tape below `tests/tapes`.
    ///
    /// # Errors
    /// When there is none, or it is cut.
    pub fn read(name: &str, is_delta: bool) -> Result<Self> {
        let path = folder().join(name);
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let messages = if path.extension().is_some_and(|extension| extension == "packed") {
            packed(&bytes)
        } else {
            plain(&bytes)
        };
        Ok(Self { messages: messages.context("the tape is cut")?, is_delta })
    }

    /// The field of a response that holds its type is one for both forms.
    #[must_use]
    pub fn kind(message: &[u8]) -> String {
        text(message, 4)
    }

    /// How the resources of each type, by its last word, came.
    #[must_use]
    pub fn changes(&self) -> HashMap<String, Changes> {
        let mut held: HashMap<(String, Vec<u8>), Vec<u8>> = HashMap::new();
        let mut changes: HashMap<String, Changes> = HashMap::new();
        for message in &self.messages {
            let kind = Self::kind(message);
            let kind = kind.rsplit('.').next().unwrap_or_default().to_owned();
            let counted = changes.entry(kind.clone()).or_default();
            for (_, resource) in fields(message).filter(|(field, _)| *field == 2) {
                // The name is field 3 of a delta wrapper, or field 1 of the resource.
                let (name, body) = if self.is_delta {
                    (last(resource, 3), last(last(resource, 2), 2))
                } else {
                    (last(last(resource, 2), 1), last(resource, 2))
                };
                counted.sent += 1;
                let key = (kind.clone(), name.to_vec());
                match held.insert(key, body.to_vec()) {
                    Some(before) if before == body => counted.repeated += 1,
                    Some(_) => counted.changed += 1,
                    None => {}
                }
            }
            for (_, name) in fields(message).filter(|(field, _)| self.is_delta && *field == 6) {
                held.remove(&(kind.clone(), name.to_vec()));
            }
        }
        changes
    }
}

/// Where tapes are.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tapes")
}

fn plain(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (_seconds, rest) = bytes.split_at_checked(8)?;
        let (message, rest) = sized(rest)?;
        messages.push(message.to_vec());
        bytes = rest;
    }
    Some(messages)
}

fn packed(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut parts, mut messages) = (Vec::new(), Vec::new());
    while let Some((tag, rest)) = bytes.split_first() {
        if *tag == 0 {
            let (part, rest) = sized(rest)?;
            parts.push(part);
            bytes = rest;
            continue;
        }
        let (_seconds, rest) = rest.split_at_checked(8)?;
        let (count, mut rest) = number(rest)?;
        let mut message = Vec::new();
        for _ in 0..count {
            let (part, left) = number(rest)?;
            message.extend_from_slice(parts.get(part)?);
            rest = left;
        }
        messages.push(message);
        bytes = rest;
    }
    Some(messages)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number) as usize, rest))
}

fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(bytes)?;
    rest.split_at_checked(length)
}

/// The fields of a message that have a length, with their numbers. Ends where the message makes no sense.
pub fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            let (key, rest) = varint(message)?;
            match key & 7 {
                2 => {
                    let (length, rest) = varint(rest)?;
                    let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                    message = rest;
                    return Some((key >> 3, value));
                }
                0 => message = varint(rest)?.1,
                1 => message = rest.get(8..)?,
                5 => message = rest.get(4..)?,
                _ => return None,
            }
        }
    })
}

/// A field that has a length, as bytes.
#[must_use]
pub fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = value.len();
    loop {
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        if length == 0 {
            bytes.push(low & 0x7f);
            break;
        }
        bytes.push(low | 0x80);
    }
    bytes.extend_from_slice(value);
    bytes
}

/// The last field of this number, or nothing.
pub fn last(message: &[u8], number: u64) -> &[u8] {
    fields(message).filter(|(field, _)| *field == number).last().map_or(&[], |(_, value)| value)
}

/// The same as text.
#[must_use]
pub fn text(message: &[u8], number: u64) -> String {
    String::from_utf8_lossy(last(message, number)).into_owned()
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(place + 1..)?));
        }
    }
    None
}

/// Tapes by the name of their file, without the ones in folders.
///
/// # Errors
/// When the folder cannot be read.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "responses") {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    if names.is_empty() {
        bail!("no tapes in {}", folder().display());
    }
    names.sort();
    Ok(names)
}
