//! The first bytes of a TLS connection: they choose the filter chain, so they must mean what the handshake will make of them.
//!
//! What is checked: how the bytes arrive changes nothing, and whatever follows the hello neither; cutting it into other records changes
//! nothing; and where rustls reads a hello, it reads the same name and protocols. What rustls refuses we may take: the handshake fails.

use outrigger::listener::inspect::Look;
use outrigger::listener::inspect::tls::{ClientHello, client_hello as inspect};
use rustls::server::Acceptor;

use crate::split::splits;

/// `data` is what a client sends on a connection.
pub fn client_hello(data: &[u8]) {
    let whole = inspect(data);
    for pieces in splits(data) {
        let mut seen = Vec::new();
        for piece in pieces {
            seen.extend_from_slice(piece);
            match inspect(&seen) {
                Look::NeedMore => {}
                early => assert_eq!(early, whole, "after {} bytes", seen.len()),
            }
        }
    }
    let followed = inspect(&[data, b"\x16\x03\x01\x00\x05\x01\xff"].concat());
    if whole != Look::NeedMore {
        assert_eq!(followed, whole, "what follows decides");
    }

    if let Look::Is(hello) = &whole {
        check(hello);
    }
    if let Some(message) = message(data) {
        for size in [1, 5, 100] {
            let cut: Vec<u8> = message.chunks(size).flat_map(record).collect();
            assert_eq!(inspect(&cut), whole, "in records of {size}");
        }
    }
    if let Some(theirs) = rustls_reads(data) {
        assert_eq!(without_dot(whole), Look::Is(theirs), "rustls reads another hello");
    }
}

/// rustls drops the last dot of a name, and Envoy matches filter chains against the name with it.
fn without_dot(mut look: Look<ClientHello>) -> Look<ClientHello> {
    if let Look::Is(hello) = &mut look
        && let Some(name) = &mut hello.server_name
        && name.ends_with('.')
    {
        name.pop();
    }
    look
}

fn check(hello: &ClientHello) {
    if let Some(name) = &hello.server_name {
        assert!((1..=255).contains(&name.len()), "{name}");
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
        assert!(name.bytes().all(is_plain), "{name:?}");
    }
    assert!(hello.application_protocols.len() <= 32);
    assert!(hello.application_protocols.iter().all(|protocol| protocol.len() <= 3 * 255));
}

/// The handshake bytes in `data`, if it is nothing but well-formed records.
fn message(data: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut rest = data;
    while let [22, 3, _, high, low, tail @ ..] = rest {
        let length = usize::from(*high) << 8 | usize::from(*low);
        let (content, next) = tail.split_at_checked(length)?;
        message.extend_from_slice((!content.is_empty()).then_some(content)?);
        rest = next;
    }
    rest.is_empty().then_some(message)
}

fn record(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or_default().to_be_bytes();
    [&[22, 3, 1][..], &length, content].concat()
}

/// What rustls makes of `data`, if it takes it for a hello.
fn rustls_reads(data: &[u8]) -> Option<ClientHello> {
    let mut acceptor = Acceptor::default();
    let mut rest = data;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).ok()?;
        let Some(accepted) = acceptor.accept().ok()? else { continue };
        let hello = accepted.client_hello();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let protocols = hello.alpn().into_iter().flatten().take(32).map(text).collect();
        return Some(ClientHello {
            server_name: hello.server_name().map(str::to_ascii_lowercase),
            application_protocols: protocols,
        });
    }
    None
}
