//! The header lines of one message.
//!
//! All names and values of a message lie in one buffer; a line is a pair of ranges into it. A codec
//! copies the head into the buffer once; nothing is allocated or counted per line, and filters change
//! lines by appending to the buffer. Every line of a repeated name is kept, in order, as bytes.
//! Callers outside this module never see a range.

use std::ops::Range;

use super::name::{Id, Name};

/// A range of [`Headers`]' buffer. Messages are limited to far less than 4 GiB by every codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(super) const fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct Line {
    name: Span,
    value: Span,
    id: Id,
}

/// Header lines in the order in which they stand on the wire. Names are lower case.
#[derive(Clone, Default)]
pub struct Headers {
    buffer: Vec<u8>,
    lines: Vec<Line>,
}

impl Headers {
    /// No lines, and no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), lines: Vec::new() }
    }

    /// No lines, with room for `bytes` of names and values and `lines` lines.
    #[must_use]
    pub fn with_capacity(bytes: usize, lines: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes), lines: Vec::with_capacity(lines) }
    }

    /// Drops all lines and keeps the memory for the next message.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.lines.clear();
    }

    /// Bytes of memory that the buffer holds: what a pool of buffers looks at.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Number of lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True without lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Sum of the lengths of all names and values, in bytes: Envoy's `HeaderMap::byteSize`.
    #[must_use]
    pub fn byte_size(&self) -> usize {
        self.lines.iter().map(|l| l.name.len as usize + l.value.len as usize).sum()
    }

    /// Adds a line at the end. `name` may be in any case and is stored in lower case.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        let name = self.store_lower(name);
        let id = Id::of(self.bytes(name));
        let value = self.store(value);
        self.lines.push(Line { name, value, id });
    }

    /// Adds a line of a configured name at the end.
    pub fn append_name(&mut self, name: &Name, value: &[u8]) {
        let line = Line {
            name: self.store(name.as_str().as_bytes()),
            value: self.store(value),
            id: name.id(),
        };
        self.lines.push(line);
    }

    /// Adds a line whose name is in lower case and whose id the codec has looked up.
    pub fn append_decoded(&mut self, id: Id, name: &[u8], value: &[u8]) {
        let line = Line { name: self.store(name), value: self.store(value), id };
        self.lines.push(line);
    }

    /// Adds a line of a known name at the end.
    pub fn append_id(&mut self, id: Id, value: &[u8]) {
        let line = Line { name: self.store(id.as_str().as_bytes()), value: self.store(value), id };
        self.lines.push(line);
    }

    /// The first value of a known name.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&[u8]> {
        self.lines.iter().find(|l| l.id == id).map(|l| self.bytes(l.value))
    }

    /// The first value of a configured name.
    #[must_use]
    pub fn get_name(&self, name: &Name) -> Option<&[u8]> {
        self.lines.iter().find(|l| self.is_named(l, name)).map(|l| self.bytes(l.value))
    }

    /// All values of a configured name, in order.
    pub fn get_all<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.lines.iter().filter(|l| self.is_named(l, name)).map(|l| self.bytes(l.value))
    }

    /// All values of a known name, in order.
    pub fn get_all_id(&self, id: Id) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter(move |l| l.id == id).map(|l| self.bytes(l.value))
    }

    /// True if a line has this known name.
    #[must_use]
    pub fn contains(&self, id: Id) -> bool {
        self.lines.iter().any(|l| l.id == id)
    }

    /// Gives the first line of `name` this value and drops the others; adds a line if there was none.
    pub fn set_name(&mut self, name: &Name, value: &[u8]) {
        let value = self.store(value);
        let mut kept = false;
        let Self { buffer, lines } = self;
        lines.retain_mut(|line| {
            if !named(buffer, line, name) {
                return true;
            }
            line.value = value;
            !std::mem::replace(&mut kept, true)
        });
        if !kept {
            let line = Line { name: self.store(name.as_str().as_bytes()), value, id: name.id() };
            self.lines.push(line);
        }
    }

    /// [`Headers::set_name`] for a known name.
    pub fn set(&mut self, id: Id, value: &[u8]) {
        let value = self.store(value);
        let mut kept = false;
        self.lines.retain_mut(|line| {
            if line.id != id {
                return true;
            }
            line.value = value;
            !std::mem::replace(&mut kept, true)
        });
        if !kept {
            let name = self.store(id.as_str().as_bytes());
            self.lines.push(Line { name, value, id });
        }
    }

    /// Drops all lines of a known name; true if there was one.
    pub fn remove(&mut self, id: Id) -> bool {
        let before = self.lines.len();
        self.lines.retain(|l| l.id != id);
        before != self.lines.len()
    }

    /// Drops all lines of a configured name; true if there was one.
    pub fn remove_name(&mut self, name: &Name) -> bool {
        if let Name::Known(id) = name {
            return self.remove(*id);
        }
        let before = self.lines.len();
        let Self { buffer, lines } = self;
        lines.retain(|l| !named(buffer, l, name));
        before != self.lines.len()
    }

    /// Keeps only the lines for which `keep(name, id, value)` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], Id, &[u8]) -> bool) {
        let Self { buffer, lines } = self;
        lines.retain(|l| keep(bytes(buffer, l.name), l.id, bytes(buffer, l.value)));
    }

    /// All lines as `(name, value)`, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|l| (self.bytes(l.name), self.bytes(l.value)))
    }

    /// The id of every line, in order: the cheapest way to see whether any of several names is there.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        self.lines.iter().map(|l| l.id)
    }

    /// All lines as `(name, id, value)`, in order.
    pub fn iter_with_id(&self) -> impl Iterator<Item = (&[u8], Id, &[u8])> {
        self.lines.iter().map(|l| (self.bytes(l.name), l.id, self.bytes(l.value)))
    }

    /// Joins the lines of each of these names into one, by commas: the form in which Envoy keeps them.
    pub fn join_lines(&mut self, ids: impl Fn(Id) -> bool) {
        let mut seen = [false; 256];
        let repeated = self.lines.iter().any(|line| {
            ids(line.id)
                && seen.get_mut(line.id.index()).is_some_and(|seen| std::mem::replace(seen, true))
        });
        if !repeated {
            return;
        }
        for index in 0..self.lines.len() {
            let Some(id) = self.lines.get(index).map(|line| line.id).filter(|id| ids(*id)) else {
                continue;
            };
            if self.get_all_id(id).nth(1).is_some() {
                let joined = self.get_all_id(id).collect::<Vec<_>>().join(&b","[..]);
                self.set(id, &joined);
            }
        }
    }

    /// The buffer that holds every name and value, and where the lines lie in it: for a codec that shares one
    /// copy of the bytes among all values. Parts of the buffer may belong to no line any more.
    pub fn layout(&self) -> (&[u8], impl Iterator<Item = (Id, Range<usize>, Range<usize>)>) {
        (&self.buffer, self.lines.iter().map(|l| (l.id, l.name.range(), l.value.range())))
    }

    /// True if `name` stands in a comma-separated list in any line of `id`, ignoring case:
    /// `connection: close`, `te: trailers`.
    #[must_use]
    pub fn has_token(&self, id: Id, token: &str) -> bool {
        self.get_all_id(id).any(|v| tokens(v).any(|t| t.eq_ignore_ascii_case(token.as_bytes())))
    }

    /// Replaces the storage of a range by `value`; used for the start line, which shares the buffer.
    pub(super) fn store(&mut self, value: &[u8]) -> Span {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(value);
        span(start, value.len())
    }

    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        bytes(&self.buffer, span)
    }

    fn store_lower(&mut self, name: &[u8]) -> Span {
        let start = self.buffer.len();
        self.buffer.extend(name.iter().map(u8::to_ascii_lowercase));
        span(start, name.len())
    }

    fn is_named(&self, line: &Line, name: &Name) -> bool {
        named(&self.buffer, line, name)
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lossy = |b| String::from_utf8_lossy(b).into_owned();
        f.debug_list().entries(self.iter().map(|(n, v)| (lossy(n), lossy(v)))).finish()
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Headers {
    fn from_iter<T: IntoIterator<Item = (&'a [u8], &'a [u8])>>(lines: T) -> Self {
        let mut headers = Self::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        headers
    }
}

/// The elements of a comma-separated list without surrounding white space; empty ones are skipped.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|t| !t.is_empty())
}

/// A decimal integer, white space around it and a plus sign allowed (envoy: absl::SimpleAtoi); `None`
/// for anything else and for what does not fit.
#[must_use]
pub fn integer(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

fn span(start: usize, len: usize) -> Span {
    // A buffer never reaches 4 GiB: codecs stop at the limits of the connection manager.
    Span { start: u32::try_from(start).unwrap_or(u32::MAX), len: u32::try_from(len).unwrap_or(0) }
}

fn bytes(buffer: &[u8], span: Span) -> &[u8] {
    buffer.get(span.range()).unwrap_or_default()
}

fn named(buffer: &[u8], line: &Line, name: &Name) -> bool {
    match name {
        Name::Known(id) => line.id == *id,
        Name::Custom(text) => !line.id.is_known() && bytes(buffer, line.name) == text.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        let mut headers = Headers::new();
        headers.append(b"Host", b"a.com");
        headers.append(b"X-Role", b"user");
        headers.append(b"x-role", b"admin");
        headers.append(b"Connection", b"close, X-Foo");
        headers
    }

    #[test]
    fn every_line_of_a_repeated_name_is_kept_in_order() {
        let headers = sample();
        let role = Name::new("x-role");
        assert_eq!(headers.get_all(&role).collect::<Vec<_>>(), [b"user".as_slice(), b"admin"]);
        assert_eq!(headers.get_name(&role), Some(b"user".as_slice()));
        assert_eq!(headers.get(Id::HOST), Some(b"a.com".as_slice()));
        assert_eq!(headers.byte_size(), 4 + 5 + 6 + 4 + 6 + 5 + 10 + 12);
    }

    #[test]
    fn set_keeps_the_place_of_the_first_line_and_drops_the_rest() {
        let mut headers = sample();
        headers.set_name(&Name::new("x-role"), b"ops");
        headers.set(Id::SERVER, b"envoy");
        let lines: Vec<_> = headers.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1], (b"x-role".to_vec(), b"ops".to_vec()));
        assert_eq!(lines[3], (b"server".to_vec(), b"envoy".to_vec()));
    }

    #[test]
    fn integers_are_read_as_envoy_reads_them() {
        for (text, number) in [
            ("0", Some(0)),
            (" +4 ", Some(4)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("++1", None),
            ("1.5", None),
            ("1 2", None),
            ("", None),
            ("\u{ff}", None),
        ] {
            assert_eq!(integer(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn lines_of_some_names_are_joined() {
        let mut headers = sample();
        headers.append(b"accept", b"a");
        headers.append(b"x-role", b"ops");
        headers.append(b"Accept", b"b");
        headers.join_lines(|id| id == Id::ACCEPT);
        assert_eq!(headers.len(), 6);
        assert_eq!(headers.get(Id::ACCEPT), Some(b"a,b".as_slice()));
    }

    #[test]
    fn remove_and_tokens() {
        let mut headers = sample();
        assert!(headers.has_token(Id::CONNECTION, "CLOSE"));
        assert!(!headers.has_token(Id::CONNECTION, "x-fo"));
        assert!(headers.remove_name(&Name::new("X-Role")));
        assert!(!headers.remove_name(&Name::new("X-Role")));
        assert!(headers.remove(Id::HOST));
        assert_eq!(headers.len(), 1);
    }
}
