//! What a header block may say (RFC 9113 §8): heads of requests and responses, and trailers, out of the fields of a decoder.
//!
//! Fields are written straight into the [`Headers`] of the message. A block that breaks a rule is decoded to its end all the same, because the
//! table has to stay in step; the verdict comes with [`Heads::finish`]. Deliberately absent: what policy says about heads (`normalize`).

use outrigger_policy::head::{Headers, Id, Protocol, RequestHead, ResponseHead, Scheme};

use super::hpack::{ENTRY_OVERHEAD, Sink, Violation};
use crate::http::codec::http1::is_host;

/// Envoy counts `:method`, `:scheme`, `:authority` and `:path` as lines.
const PSEUDO_HEADERS: usize = 4;

/// Why a message is reset instead of taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It breaks HTTP.
    Malformed,
    /// It breaks a rule of ours that stands in no codec: methods in lower case, hosts that are none.
    Unfit,
    /// More lines or bytes than the limit.
    TooLarge,
}

/// Limits of a block.
#[derive(Clone, Copy, Debug)]
pub struct BlockLimits {
    /// Bytes of names and values.
    pub bytes: usize,
    /// Lines.
    pub lines: usize,
}

impl BlockLimits {
    /// The same by the count of SETTINGS_MAX_HEADER_LIST_SIZE.
    #[must_use]
    pub fn list_size(&self) -> u32 {
        u32::try_from(self.bytes + ENTRY_OVERHEAD * self.lines).unwrap_or(u32::MAX)
    }
}

/// The lines of a message as they come, and what was wrong with them.
#[derive(Debug)]
struct Lines {
    headers: Headers,
    limits: BlockLimits,
    bytes: usize,
    count: usize,
    refusal: Option<Refusal>,
    has_lines: bool,
    length: Option<u64>,
    /// Cookie crumbs, joined (RFC 9113 §8.2.3).
    cookies: Vec<u8>,
}

impl Lines {
    const fn new(headers: Headers, limits: BlockLimits) -> Self {
        Self {
            headers,
            limits,
            bytes: 0,
            count: 0,
            refusal: None,
            has_lines: false,
            length: None,
            cookies: Vec::new(),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    fn line(&mut self, id: Id, name: &[u8], value: &[u8]) {
        self.has_lines = true;
        self.bytes += name.len() + value.len();
        self.count += 1;
        if self.bytes > self.limits.bytes || self.count > self.limits.lines {
            self.refuse(Refusal::TooLarge);
        }
        if self.refusal.is_some() {
            return;
        }
        let value = value.trim_ascii();
        match id {
            // RFC 9113 §8.2.2
            Id::CONNECTION
            | Id::KEEP_ALIVE
            | Id::PROXY_CONNECTION
            | Id::TRANSFER_ENCODING
            | Id::UPGRADE => self.refuse(Refusal::Malformed),
            Id::TE if value != b"trailers" => self.refuse(Refusal::Malformed),
            Id::CONTENT_LENGTH => match length(value) {
                Some(length) if self.length.is_none() => {
                    self.length = Some(length);
                    self.headers.append_decoded(id, name, value);
                }
                _ => self.refuse(Refusal::Malformed),
            },
            Id::COOKIE => {
                if !self.cookies.is_empty() {
                    self.cookies.extend_from_slice(b"; ");
                }
                self.cookies.extend_from_slice(value);
            }
            _ => self.headers.append_decoded(id, name, value),
        }
    }

    fn finish(&mut self) {
        if !self.cookies.is_empty() {
            self.headers.append_decoded(Id::COOKIE, b"cookie", &self.cookies);
        }
    }
}

/// Digits only, and few enough for a number.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Takes the head of a request.
#[derive(Debug)]
pub(super) struct RequestFields {
    lines: Lines,
    head: RequestHead,
    seen: u8,
    /// One of the two that we know.
    scheme: Option<Scheme>,
    is_path_valid: bool,
    host: HostLine,
}

#[derive(Debug, Default)]
struct HostLine {
    value: Option<Vec<u8>>,
    is_repeated: bool,
}

const METHOD: u8 = 1;
const SCHEME: u8 = 2;
const AUTHORITY: u8 = 4;
const PATH: u8 = 8;

impl RequestFields {
    /// Nothing yet.
    #[must_use]
    pub(super) fn new(spare: Headers, limits: BlockLimits) -> Self {
        let mut head = RequestHead::reuse(spare);
        head.protocol = Protocol::Http2;
        let limits = BlockLimits { lines: limits.lines.saturating_sub(PSEUDO_HEADERS), ..limits };
        Self {
            lines: Lines::new(std::mem::take(&mut head.headers), limits),
            head,
            seen: 0,
            scheme: None,
            is_path_valid: true,
            host: HostLine::default(),
        }
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Violation> {
        let bit = match name {
            b":method" => METHOD,
            b":scheme" => SCHEME,
            b":authority" => AUTHORITY,
            b":path" => PATH,
            // Extended CONNECT was not offered (RFC 8441 §3); a status is for responses.
            b":protocol" | b":status" => {
                self.lines.refuse(Refusal::Malformed);
                return Ok(());
            }
            _ => return Err(Violation),
        };
        if bit == METHOD && !is_method(value) {
            return Err(Violation);
        }
        if self.lines.has_lines || self.seen & bit != 0 || value.is_empty() {
            self.lines.refuse(Refusal::Malformed);
        }
        if value.len() > self.lines.limits.bytes {
            self.lines.refuse(Refusal::TooLarge);
        }
        self.seen |= bit;
        if self.lines.refusal.is_some() {
            return Ok(());
        }
        // The head's texts lie in its headers' buffer.
        std::mem::swap(&mut self.head.headers, &mut self.lines.headers);
        match bit {
            METHOD => self.head.set_method(value),
            SCHEME => match value {
                b"https" => self.scheme = Some(Scheme::Https),
                b"http" => self.scheme = Some(Scheme::Http),
                _ if value.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)) => {}
                _ => self.lines.refuse(Refusal::Malformed),
            },
            AUTHORITY => self.head.set_authority(value),
            _ => {
                // A fragment is no part of a request.
                let end = memchr::memchr(b'#', value).unwrap_or(value.len());
                let path = value.get(..end).unwrap_or_default();
                self.is_path_valid = is_path(path);
                self.head.set_path(path);
            }
        }
        std::mem::swap(&mut self.head.headers, &mut self.lines.headers);
        Ok(())
    }

    /// The head, and how long the body says it is. `is_tls` decides nothing but what an unknown `:scheme` means.
    ///
    /// # Errors
    /// If the request cannot be served.
    pub(super) fn finish(mut self, is_tls: bool) -> Result<(RequestHead, Option<u64>), Refusal> {
        self.lines.finish();
        if let Some(refusal) = self.lines.refusal {
            return Err(refusal);
        }
        let mut head = self.head;
        head.headers = self.lines.headers;
        let is_connect = head.method() == b"CONNECT";
        let wanted = if is_connect { METHOD } else { METHOD | SCHEME | PATH };
        if self.seen & !AUTHORITY != wanted || !self.is_path_valid {
            return Err(Refusal::Malformed);
        }
        if head.path() == b"*" && head.method() != b"OPTIONS" {
            return Err(Refusal::Malformed);
        }
        // Methods are case-sensitive: `get` would pass a policy about `GET` and be served by a lenient upstream.
        if head.method().iter().any(u8::is_ascii_lowercase) {
            return Err(Refusal::Unfit);
        }
        head.scheme = match self.scheme {
            Some(scheme) => scheme,
            None if is_tls => Scheme::Https,
            None => Scheme::Http,
        };
        let host = self.host.value.as_deref();
        if let Some(authority) = head.authority().or(host) {
            let disagrees = host.is_some_and(|host| host != authority) || self.host.is_repeated;
            if disagrees || !is_host(authority) {
                return Err(Refusal::Unfit);
            }
        }
        if let (None, Some(host)) = (head.authority(), host) {
            head.set_authority(host);
        }
        Ok((head, self.lines.length))
    }
}

impl Sink for RequestFields {
    fn field(&mut self, id: Id, name: &[u8], value: &[u8]) -> Result<(), Violation> {
        if id == Id::HOST {
            self.lines.has_lines = true;
            self.lines.bytes += name.len() + value.len();
            self.lines.count += 1;
            self.host.is_repeated |= self.host.value.is_some();
            if self.lines.bytes <= self.lines.limits.bytes && self.host.value.is_none() {
                self.host.value = Some(value.trim_ascii().to_vec());
            }
        } else if id == Id::CUSTOM && name.first() == Some(&b':') {
            return self.pseudo(name, value);
        } else {
            self.lines.line(id, name, value);
        }
        Ok(())
    }
}

fn is_method(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| outrigger_policy::head::is_token_byte(*byte))
}

/// A path with its query as RFC 3986 has them, and what clients send besides: quotes, braces, bytes above 0x7f.
fn is_path(value: &[u8]) -> bool {
    if value == b"*" {
        return true;
    }
    if value.first() != Some(&b'/') {
        return false;
    }
    let end = memchr::memchr(b'?', value).unwrap_or(value.len());
    let (path, query) = value.split_at_checked(end).unwrap_or_default();
    path.iter().all(|byte| !matches!(byte, 0..=0x20 | b'<' | b'>' | b'`' | 0x7f))
        && query.iter().all(|byte| !matches!(byte, 0..=0x20 | 0x7f))
        && (value.is_ascii() || std::str::from_utf8(value).is_ok())
}

/// Takes the head of a response.
#[derive(Debug)]
pub(super) struct ResponseFields {
    lines: Lines,
    status: Option<u16>,
}

impl ResponseFields {
    /// Nothing yet.
    #[must_use]
    pub(super) fn new(mut spare: Headers, limits: BlockLimits) -> Self {
        spare.clear();
        Self { lines: Lines::new(spare, limits), status: None }
    }

    /// The head, and how long the body says it is.
    ///
    /// # Errors
    /// If it is no response.
    pub(super) fn finish(mut self) -> Result<(ResponseHead, Option<u64>), Refusal> {
        self.lines.finish();
        match (self.lines.refusal, self.status) {
            (Some(refusal), _) => Err(refusal),
            // RFC 9113 §8.6: there is no 101.
            (None, None | Some(101)) => Err(Refusal::Malformed),
            (None, Some(status)) => {
                let Lines { headers, mut length, .. } = self.lines;
                let mut head = ResponseHead { status, headers };
                if !head.may_have_length()
                    && let Some(length) = length.take()
                {
                    if length > 0 {
                        return Err(Refusal::Malformed);
                    }
                    head.headers.remove(Id::CONTENT_LENGTH);
                }
                Ok((head, length))
            }
        }
    }
}

impl Sink for ResponseFields {
    fn field(&mut self, id: Id, name: &[u8], value: &[u8]) -> Result<(), Violation> {
        if id == Id::CUSTOM && name.first() == Some(&b':') {
            let status = match value {
                [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] if name == b":status" => {
                    length(value).and_then(|status| u16::try_from(status).ok())
                }
                _ => None,
            };
            if status.is_none() || self.status.is_some() || self.lines.has_lines {
                self.lines.refuse(Refusal::Malformed);
            }
            self.status = status;
        } else {
            self.lines.line(id, name, value);
        }
        Ok(())
    }
}

/// Takes trailers.
#[derive(Debug)]
pub(super) struct TrailerFields {
    lines: Lines,
}

impl TrailerFields {
    /// Nothing yet.
    #[must_use]
    pub(super) const fn new(limits: BlockLimits) -> Self {
        Self { lines: Lines::new(Headers::new(), limits) }
    }

    /// The trailers.
    ///
    /// # Errors
    /// If they are none.
    pub(super) fn finish(mut self) -> Result<Headers, Refusal> {
        self.lines.finish();
        match self.lines.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(self.lines.headers),
        }
    }
}

impl Sink for TrailerFields {
    fn field(&mut self, id: Id, name: &[u8], value: &[u8]) -> Result<(), Violation> {
        if id == Id::CUSTOM && name.first() == Some(&b':') {
            self.lines.refuse(Refusal::Malformed);
        } else {
            self.lines.line(id, name, value);
        }
        Ok(())
    }
}

/// Lets a block pass for the sake of the table.
#[derive(Debug)]
pub(super) struct Discard;

impl Sink for Discard {
    fn field(&mut self, _: Id, _: &[u8], _: &[u8]) -> Result<(), Violation> {
        Ok(())
    }
}
