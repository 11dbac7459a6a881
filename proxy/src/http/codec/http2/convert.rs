//! Header blocks: ours to `http`'s and back.
//!
//! `http::HeaderMap` lives only here, between our [`Headers`] and the `h2` crate. Towards `h2` all values of a message share one
//! copy of its bytes; from `h2` they are copied into one buffer.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use outrigger_policy::head::{Headers, Id};

/// Appends all lines of `map`, cookie crumbs joined (RFC 9113 §8.2.3).
pub fn append_lines(headers: &mut Headers, map: &HeaderMap) {
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in map {
        if *name == http::header::COOKIE {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value.as_bytes());
        } else {
            headers.append(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if !cookies.is_empty() {
        headers.append_id(Id::COOKIE, &cookies);
    }
}

/// Bytes of memory that a map of lines needs: names and values.
#[must_use]
pub fn size_of(map: &HeaderMap) -> usize {
    map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The lines that HTTP/2 may carry, as `h2` wants them: what belongs to one connection of HTTP/1 is left out
/// (RFC 9113 §8.2.2).
#[must_use]
pub fn to_map(headers: &Headers, extra: &[(&str, &[u8])]) -> HeaderMap {
    let (buffer, lines) = headers.layout();
    let shared = Bytes::copy_from_slice(buffer);
    let mut map = HeaderMap::with_capacity(headers.len() + extra.len());
    for (id, name, value) in lines {
        if is_of_one_connection(id, buffer.get(value.clone()).unwrap_or_default()) {
            continue;
        }
        let name = match known(id) {
            Some(name) => Ok(name.clone()),
            None => HeaderName::from_bytes(buffer.get(name).unwrap_or_default()),
        };
        // Every name and value came through a codec or a checked formatter, so neither can fail here.
        let value = HeaderValue::from_maybe_shared(shared.slice(value));
        if let (Ok(name), Ok(mut value)) = (name, value) {
            value.set_sensitive(is_seen_once(id));
            let _ = map.try_append(name, value);
        }
    }
    for (name, value) in extra {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::from_bytes(value))
        {
            let _ = map.try_append(name, value);
        }
    }
    map
}

/// Values that no other message has: in the table of the header compression they would only push others out. (RFC 7541 §6.2.3)
const fn is_seen_once(id: Id) -> bool {
    matches!(id, Id::X_REQUEST_ID | Id::X_ENVOY_UPSTREAM_SERVICE_TIME)
}

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

/// The name as `http` has it; `None` for [`Id::CUSTOM`]. Its own standard names need no memory, and ours that it does not know are static too; they are
/// looked up by their spelling once.
fn known(id: Id) -> Option<&'static HeaderName> {
    static NAMES: LazyLock<Box<[HeaderName]>> =
        LazyLock::new(|| Id::all().map(|id| HeaderName::from_static(id.as_str())).collect());
    NAMES.get(id.index().checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_connection_stays_behind() {
        let lines: [(&str, &str); 8] = [
            ("connection", "close"),
            ("keep-alive", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "x"),
            ("te", "trailers"),
            ("te", "gzip"),
            ("x-a", "1"),
            ("x-a", "2"),
        ];
        let headers: Headers = lines.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let map = to_map(&headers, &[("content-length", b"5")]);
        assert_eq!(map.len(), 4);
        assert_eq!(map.get_all("x-a").iter().count(), 2);
        assert_eq!(map["te"], "trailers");
        assert_eq!(map["content-length"], "5");
    }

    #[test]
    fn cookie_crumbs_are_joined() {
        let mut map = HeaderMap::new();
        map.append("cookie", HeaderValue::from_static("a=1"));
        map.append("x", HeaderValue::from_static("y"));
        map.append("cookie", HeaderValue::from_static("b=2"));
        let mut headers = Headers::new();
        append_lines(&mut headers, &map);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get(Id::COOKIE), Some(b"a=1; b=2".as_slice()));
    }
}
