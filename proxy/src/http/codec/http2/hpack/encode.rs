//! Heads and trailers into header blocks (RFC 7541 §6).
//!
//! Fields are indexed in the static table, or literals without indexing: no table is kept, so a block can be written anywhere, and
//! nothing of one message can be guessed from the length of another. What belongs to one connection of HTTP/1 is left out.

use outrigger_policy::head::{Headers, Id, RequestHead, ResponseHead, Scheme};

use super::table::name_index_of;

/// Tells the peer that our table is empty and stays so (RFC 7541 §6.3): to be written once, before the first block.
pub(in super::super) const NO_TABLE: u8 = 0x20;

const INDEXED: u8 = 0x80;
const WITHOUT_INDEXING: u8 = 0x00;
const NEVER_INDEXED: u8 = 0x10;

const AUTHORITY: u8 = 1;
const METHOD: u8 = 2;
const METHOD_GET: u8 = 2;
const METHOD_POST: u8 = 3;
const PATH: u8 = 4;
const PATH_ROOT: u8 = 4;
const SCHEME_HTTP: u8 = 6;
const SCHEME_HTTPS: u8 = 7;
const STATUS: u8 = 8;

/// Writes a request's head.
pub(in super::super) fn request(out: &mut Vec<u8>, head: &RequestHead) {
    out.reserve(head.headers.byte_size() + 16 * head.headers.len() + 64);
    match head.method() {
        b"GET" => out.push(INDEXED | METHOD_GET),
        b"POST" => out.push(INDEXED | METHOD_POST),
        method => with_index(out, WITHOUT_INDEXING, METHOD, method),
    }
    if !head.path().is_empty() {
        out.push(INDEXED | if head.scheme == Scheme::Https { SCHEME_HTTPS } else { SCHEME_HTTP });
    }
    if let Some(authority) = head.authority() {
        with_index(out, WITHOUT_INDEXING, AUTHORITY, authority);
    }
    match head.path() {
        b"" => {}
        b"/" => out.push(INDEXED | PATH_ROOT),
        path => with_index(out, WITHOUT_INDEXING, PATH, path),
    }
    lines(out, &head.headers);
}

/// Writes a response's head.
pub(in super::super) fn response(out: &mut Vec<u8>, head: &ResponseHead) {
    out.reserve(head.headers.byte_size() + 16 * head.headers.len() + 16);
    match head.status {
        200 => out.push(INDEXED | STATUS),
        204 => out.push(INDEXED | (STATUS + 1)),
        206 => out.push(INDEXED | (STATUS + 2)),
        304 => out.push(INDEXED | (STATUS + 3)),
        400 => out.push(INDEXED | (STATUS + 4)),
        404 => out.push(INDEXED | (STATUS + 5)),
        500 => out.push(INDEXED | (STATUS + 6)),
        _ => with_index(out, WITHOUT_INDEXING, STATUS, head.status_text()),
    }
    lines(out, &head.headers);
}

/// Writes trailers.
pub(in super::super) fn trailers(out: &mut Vec<u8>, headers: &Headers) {
    lines(out, headers);
}

fn lines(out: &mut Vec<u8>, headers: &Headers) {
    for (name, id, value) in headers.iter_with_id() {
        if is_of_one_connection(id, value) {
            continue;
        }
        // Secrets stay out of every table on the way (RFC 7541 §7.1.3).
        let kind = match id {
            Id::AUTHORIZATION | Id::COOKIE | Id::SET_COOKIE => NEVER_INDEXED,
            _ => WITHOUT_INDEXING,
        };
        match name_index_of(id) {
            0 => {
                out.push(kind);
                string(out, name);
                string(out, value);
            }
            index => with_index(out, kind, index, value),
        }
    }
}

/// A literal whose name is that of an index, which has a prefix of four bits.
fn with_index(out: &mut Vec<u8>, kind: u8, index: u8, value: &[u8]) {
    if index < 15 {
        out.push(kind | index);
    } else {
        out.extend_from_slice(&[kind | 15, index - 15]);
    }
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    let length = text.len();
    if length < 127 {
        out.push(length as u8);
    } else {
        out.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            out.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text);
}

/// RFC 9113 §8.2.2; `host` has become `:authority`.
fn is_of_one_connection(id: Id, value: &[u8]) -> bool {
    match id {
        Id::CONNECTION
        | Id::KEEP_ALIVE
        | Id::PROXY_CONNECTION
        | Id::TRANSFER_ENCODING
        | Id::UPGRADE
        | Id::HTTP2_SETTINGS
        | Id::HOST => true,
        Id::TE => value != b"trailers",
        _ => false,
    }
}
