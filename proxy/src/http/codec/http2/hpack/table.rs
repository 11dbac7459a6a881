//! The tables of HPACK: the static one (RFC 7541 appendix A) and the dynamic one of a decoder.
//!
//! The dynamic table keeps its bytes in one buffer that never grows beyond twice the table's size: new entries are appended, old ones
//! leave at the front, and now and then the rest moves down. A connection without entries owns no memory for it.

use std::collections::VecDeque;

use outrigger_policy::head::Id;

/// What an entry counts besides its bytes (RFC 7541 §4.1).
pub(in super::super) const ENTRY_OVERHEAD: usize = 32;

/// Index 1 and on. (RFC 7541 appendix A)
#[rustfmt::skip]
pub(super) static STATIC: [(Id, &str, &str); 61] = [
    (Id::CUSTOM, ":authority", ""),
    (Id::CUSTOM, ":method", "GET"),
    (Id::CUSTOM, ":method", "POST"),
    (Id::CUSTOM, ":path", "/"),
    (Id::CUSTOM, ":path", "/index.html"),
    (Id::CUSTOM, ":scheme", "http"),
    (Id::CUSTOM, ":scheme", "https"),
    (Id::CUSTOM, ":status", "200"),
    (Id::CUSTOM, ":status", "204"),
    (Id::CUSTOM, ":status", "206"),
    (Id::CUSTOM, ":status", "304"),
    (Id::CUSTOM, ":status", "400"),
    (Id::CUSTOM, ":status", "404"),
    (Id::CUSTOM, ":status", "500"),
    (Id::CUSTOM, "accept-charset", ""),
    (Id::ACCEPT_ENCODING, "accept-encoding", "gzip, deflate"),
    (Id::CUSTOM, "accept-language", ""),
    (Id::CUSTOM, "accept-ranges", ""),
    (Id::ACCEPT, "accept", ""),
    (Id::ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin", ""),
    (Id::CUSTOM, "age", ""),
    (Id::CUSTOM, "allow", ""),
    (Id::AUTHORIZATION, "authorization", ""),
    (Id::CACHE_CONTROL, "cache-control", ""),
    (Id::CUSTOM, "content-disposition", ""),
    (Id::CONTENT_ENCODING, "content-encoding", ""),
    (Id::CUSTOM, "content-language", ""),
    (Id::CONTENT_LENGTH, "content-length", ""),
    (Id::CUSTOM, "content-location", ""),
    (Id::CUSTOM, "content-range", ""),
    (Id::CONTENT_TYPE, "content-type", ""),
    (Id::COOKIE, "cookie", ""),
    (Id::DATE, "date", ""),
    (Id::ETAG, "etag", ""),
    (Id::EXPECT, "expect", ""),
    (Id::CUSTOM, "expires", ""),
    (Id::CUSTOM, "from", ""),
    (Id::HOST, "host", ""),
    (Id::CUSTOM, "if-match", ""),
    (Id::CUSTOM, "if-modified-since", ""),
    (Id::CUSTOM, "if-none-match", ""),
    (Id::CUSTOM, "if-range", ""),
    (Id::CUSTOM, "if-unmodified-since", ""),
    (Id::CUSTOM, "last-modified", ""),
    (Id::CUSTOM, "link", ""),
    (Id::LOCATION, "location", ""),
    (Id::CUSTOM, "max-forwards", ""),
    (Id::CUSTOM, "proxy-authenticate", ""),
    (Id::CUSTOM, "proxy-authorization", ""),
    (Id::CUSTOM, "range", ""),
    (Id::REFERER, "referer", ""),
    (Id::CUSTOM, "refresh", ""),
    (Id::RETRY_AFTER, "retry-after", ""),
    (Id::SERVER, "server", ""),
    (Id::SET_COOKIE, "set-cookie", ""),
    (Id::CUSTOM, "strict-transport-security", ""),
    (Id::TRANSFER_ENCODING, "transfer-encoding", ""),
    (Id::USER_AGENT, "user-agent", ""),
    (Id::VARY, "vary", ""),
    (Id::VIA, "via", ""),
    (Id::CUSTOM, "www-authenticate", ""),
];

/// By [`Id::index`]: the first index of the static table with this name, or 0.
static NAME_INDEX: [u8; 256] = name_index();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn name_index() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = STATIC.len();
    while at > 0 {
        at -= 1;
        let id = STATIC[at].0;
        if id.is_known() {
            table[id.index()] = at as u8 + 1;
        }
    }
    table
}

/// The index of a name in the static table, or 0.
pub(super) fn name_index_of(id: Id) -> u8 {
    NAME_INDEX.get(id.index()).copied().unwrap_or(0)
}

/// Fields that the peer has asked to remember.
#[derive(Debug, Default)]
pub(super) struct DynamicTable {
    /// The newest at the front.
    entries: VecDeque<Entry>,
    storage: Vec<u8>,
    /// By the count of RFC 7541 §4.1.
    size: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: Id,
    start: usize,
    name: usize,
    value: usize,
}

impl Entry {
    const fn size(self) -> usize {
        self.name + self.value + ENTRY_OVERHEAD
    }
}

/// The name of a field that is to be remembered.
#[derive(Clone, Copy, Debug)]
pub(super) enum NameSource<'a> {
    /// That of this entry.
    Index(usize),
    /// This.
    Text(Id, &'a [u8]),
}

impl DynamicTable {
    /// Holds at most `limit`.
    pub(super) const fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), storage: Vec::new(), size: 0, limit }
    }

    /// Changes the limit; entries that have no place any more leave.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(limit);
    }

    /// The entry of an index from 0 on: `(id, name, value)`.
    pub(super) fn get(&self, index: usize) -> Option<(Id, &[u8], &[u8])> {
        let entry = self.entries.get(index)?;
        let bytes = self.storage.get(entry.start..entry.start + entry.name + entry.value)?;
        let (name, value) = bytes.split_at_checked(entry.name)?;
        Some((entry.id, name, value))
    }

    /// Remembers a field. One that is larger than the table empties it (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, name: NameSource<'_>, value: &[u8]) {
        let (id, length) = match name {
            NameSource::Text(id, text) => (id, text.len()),
            NameSource::Index(index) => match self.entries.get(index) {
                Some(entry) => (entry.id, entry.name),
                None => return,
            },
        };
        let entry = Entry { id, start: self.storage.len(), name: length, value: value.len() };
        if entry.size() > self.limit {
            self.evict(0);
            return;
        }
        match name {
            NameSource::Text(_, text) => self.storage.extend_from_slice(text),
            NameSource::Index(index) => {
                let start = self.entries.get(index).map_or(0, |entry| entry.start);
                self.storage.extend_from_within(start..start + length);
            }
        }
        self.storage.extend_from_slice(value);
        self.evict(self.limit - entry.size());
        self.size += entry.size();
        self.entries.push_front(entry);
        if self.storage.len() > 2 * self.limit {
            self.compact();
        }
    }

    fn evict(&mut self, room: usize) {
        while self.size > room {
            let Some(entry) = self.entries.pop_back() else { break };
            self.size -= entry.size();
        }
        if self.entries.is_empty() && room == 0 {
            self.storage = Vec::new();
        }
    }

    /// Moves what is in use to the front of the storage.
    fn compact(&mut self) {
        let Some(unused) = self.entries.back().map(|entry| entry.start) else { return };
        self.storage.drain(..unused);
        for entry in &mut self.entries {
            entry.start -= unused;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_names_have_their_ids() {
        for (id, name, _) in &STATIC {
            assert_eq!(Id::of(name.as_bytes()), *id, "{name}");
        }
        assert_eq!(name_index_of(Id::ACCEPT_ENCODING), 16);
        assert_eq!(name_index_of(Id::X_REQUEST_ID), 0);
        assert_eq!(name_index_of(Id::CUSTOM), 0);
    }

    #[test]
    fn the_storage_stays_within_twice_the_limit() {
        let mut table = DynamicTable::new(256);
        for number in 0..1000_u32 {
            let name = format!("n{number}");
            table.insert(NameSource::Text(Id::CUSTOM, name.as_bytes()), &[b'v'; 60]);
            table.insert(NameSource::Index(0), b"w");
            assert_eq!(table.get(0).unwrap(), (Id::CUSTOM, name.as_bytes(), b"w".as_slice()));
            assert_eq!(table.get(1).unwrap().2, [b'v'; 60]);
            assert!(table.size <= 256 && table.storage.len() <= 512 + 100);
        }
        table.insert(NameSource::Text(Id::CUSTOM, b"n"), &[0; 300]);
        assert_eq!((table.entries.len(), table.size, table.storage.capacity()), (0, 0, 0));
    }
}
