//! Is it TLS, and whom does the client want? Reads a ClientHello (RFC 8446 §4.1.2) without taking it.
//! (envoy: envoy.filters.listener.tls_inspector)
//!
//! Bytes are hostile: every length is checked, nothing is allocated beyond the limit, and a hello that is cut over several records or
//! packets is read like a whole one.

use super::Look;

/// A longer hello is not read. (envoy: `TLS_MAX_CLIENT_HELLO`)
const LONGEST: usize = 16 * 1024;
/// Bytes of records, headers included, that one may be spread over: each read looks at all of them again.
const LONGEST_SPREAD: usize = 2 * LONGEST;
/// Protocols of one ALPN list that are looked at.
const MOST_PROTOCOLS: usize = 32;

/// What a ClientHello says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// SNI in lower case.
    pub server_name: Option<String>,
    /// ALPN, in the client's order.
    pub application_protocols: Vec<String>,
}

/// Reads the hello at the start of `bytes`.
#[must_use]
pub fn client_hello(bytes: &[u8]) -> Look<ClientHello> {
    match handshake(bytes) {
        Look::Is(message) => match parse(&message) {
            Some(hello) => Look::Is(hello),
            None => Look::IsNot,
        },
        Look::IsNot => Look::IsNot,
        Look::NeedMore => Look::NeedMore,
    }
}

/// Puts the handshake message together from its records.
fn handshake(bytes: &[u8]) -> Look<Vec<u8>> {
    let mut message: Vec<u8> = Vec::new();
    let mut rest = bytes;
    loop {
        // content type, version, length
        match rest {
            [] => return Look::NeedMore,
            [22] | [22, 3] => return Look::NeedMore,
            [22, 3, ..] => {}
            _ => return Look::IsNot,
        }
        let [_, _, _, high, low, tail @ ..] = rest else { return Look::NeedMore };
        let length = usize::from(*high) << 8 | usize::from(*low);
        if length == 0 || length > LONGEST || message.len() + length > LONGEST {
            return Look::IsNot;
        }
        let available = tail.get(..length.min(tail.len())).unwrap_or_default();
        message.extend_from_slice(available);
        match message.as_slice() {
            [1, a, b, c, body @ ..] => {
                let wanted = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
                if wanted > LONGEST {
                    return Look::IsNot;
                }
                if let Some(body) = body.get(..wanted) {
                    return Look::Is(body.to_vec());
                }
            }
            [1, ..] | [] => {}
            _ => return Look::IsNot,
        }
        match tail.get(length..) {
            Some(next) if bytes.len() - next.len() > LONGEST_SPREAD => return Look::IsNot,
            Some(next) => rest = next,
            None => return Look::NeedMore,
        }
    }
}

fn parse(body: &[u8]) -> Option<ClientHello> {
    let mut reader = Reader(body);
    reader.take(2 + 32)?; // version and random
    reader.list8()?; // session id
    reader.list16()?; // cipher suites
    reader.list8()?; // compression methods
    let mut hello = ClientHello::default();
    if reader.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(reader.list16()?);
    let (mut has_names, mut has_protocols) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let data = extensions.list16()?;
        match kind {
            // RFC 8446 §4.2: an extension comes once. Of two names, we would look at one and the server at the other.
            0 if std::mem::replace(&mut has_names, true) => return None,
            0 => hello.server_name = server_name(data),
            16 if std::mem::replace(&mut has_protocols, true) => return None,
            16 => hello.application_protocols = protocols(data)?,
            _ => {}
        }
    }
    Some(hello)
}

/// RFC 6066 §3. A name that is no ASCII host name counts as none.
fn server_name(data: &[u8]) -> Option<String> {
    let mut names = Reader(Reader(data).list16()?);
    let kind = names.take(1)?;
    let name = names.list16()?;
    let is_host = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let is_name = kind == [0] && !name.is_empty() && name.len() <= 255 && name.iter().all(is_host);
    is_name.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())
}

/// RFC 7301 §3.1.
fn protocols(data: &[u8]) -> Option<Vec<String>> {
    let mut list = Reader(Reader(data).list16()?);
    let mut protocols = Vec::new();
    while !list.0.is_empty() && protocols.len() < MOST_PROTOCOLS {
        protocols.push(String::from_utf8_lossy(list.list8()?).into_owned());
    }
    Some(protocols)
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn number16(&mut self) -> Option<u16> {
        let bytes: [u8; 2] = self.take(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    }

    fn list8(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(usize::from(length))
    }

    fn list16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list16(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
    }

    fn hello(name: &str, protocols: &[&str]) -> Vec<u8> {
        let sni = list16(&[&[0], &*list16(name.as_bytes())].concat());
        let alpn: Vec<u8> =
            protocols.iter().flat_map(|p| [&[p.len() as u8], p.as_bytes()].concat()).collect();
        let extensions = [
            &[0, 0][..],
            &list16(&sni),
            &[0, 16],
            &list16(&list16(&alpn)),
            &[0, 43],
            &list16(&[2, 3, 4]),
        ]
        .concat();
        let body =
            [&[3, 3][..], &[7; 32], &[0], &list16(&[0x13, 1]), &[1, 0], &list16(&extensions)]
                .concat();
        [&[1, 0][..], &list16(&body)].concat()
    }

    /// The hello with its extensions once more behind them.
    fn doubled(message: &[u8]) -> Vec<u8> {
        const BEFORE: usize = 4 + 2 + 32 + 1 + 4 + 2;
        let (start, extensions) = (&message[4..BEFORE], &message[BEFORE + 2..]);
        let body = [start, &list16(&[extensions, extensions].concat())].concat();
        [&[1, 0][..], &list16(&body)].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &list16(part)].concat()).collect()
    }

    #[test]
    fn reads_names_whole_cut_and_byte_by_byte() {
        let message = hello("A.Example.com", &["h2", "http/1.1"]);
        for size in [1, 7, 100, 10_000] {
            let bytes = records(&message, size);
            for length in 0..bytes.len() {
                assert_eq!(client_hello(&bytes[..length]), Look::NeedMore, "{size} {length}");
            }
            let Look::Is(found) = client_hello(&bytes) else { panic!("{size}") };
            assert_eq!(found.server_name.as_deref(), Some("a.example.com"));
            assert_eq!(found.application_protocols, ["h2", "http/1.1"]);
        }
    }

    #[test]
    fn what_is_no_hello_is_told_at_once() {
        for bytes in [
            b"GET / HTTP/1.1\r\n".as_slice(),
            b"\x15\x03\x01\x00\x02\x01\x00",
            b"\x16\x02",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\xff\xff",
            b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
            b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
            b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
            &records(&doubled(&hello("a.com", &["h2"])), 10_000),
        ] {
            assert_eq!(client_hello(bytes), Look::IsNot, "{bytes:?}");
        }
    }

    #[test]
    fn a_hello_in_too_many_records_is_none() {
        let message = [&[1, 0, 0x3f, 0xff][..], &[0; 0x3fff]].concat();
        assert_eq!(client_hello(&records(&message, 100)), Look::IsNot, "its body is no hello's");
        let spread = records(&message, 1);
        let end = 6 * LONGEST_SPREAD.div_ceil(6);
        assert_eq!(client_hello(&spread[..end - 6]), Look::NeedMore);
        assert_eq!(client_hello(&spread[..end]), Look::IsNot);
        assert_eq!(client_hello(&spread), Look::IsNot);
    }

    #[test]
    fn names_that_are_no_hosts_count_as_none() {
        for name in ["", "a b", "a\n{\"x\":1}", "a\0b", &"a".repeat(256)] {
            let bytes = records(&hello(name, &[]), 10_000);
            let Look::Is(found) = client_hello(&bytes) else { panic!("{name}") };
            assert_eq!(found.server_name, None, "{name}");
        }
    }

    #[test]
    fn every_mutation_of_a_hello_is_survived() {
        let bytes = records(&hello("a.com", &["h2"]), 40);
        for place in 0..bytes.len() {
            for value in [0, 1, 127, 255] {
                let mut mutated = bytes.clone();
                mutated[place] = value;
                let _ = client_hello(&mutated);
            }
        }
    }
}
