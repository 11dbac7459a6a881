//! The head of an HTTP/1 request, from bytes to [`RequestHead`].
//!
//! Every byte that a policy, a log or an upstream will see passes here. Nothing is repaired: a target, host or
//! length that could be read in two ways ends the request (`HeadError`), and the connection with it.

use std::mem::MaybeUninit;

use outrigger_policy::head::{Headers, Id, Protocol, RequestHead, Scheme};

use super::error::HeadError;
use super::framing::{BodyLength, declared_length, keeps_alive, parse_length};

/// Lines that the parser has room for; the configured limit is at most this.
const MAX_LINES: usize = 512;

/// The methods that an HTTP/1 request may have, as in Envoy without `allow_custom_methods`.
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"COPY",
    b"LOCK",
    b"MKCOL",
    b"MOVE",
    b"PROPFIND",
    b"PROPPATCH",
    b"SEARCH",
    b"UNLOCK",
    b"BIND",
    b"REBIND",
    b"UNBIND",
    b"ACL",
    b"REPORT",
    b"MKACTIVITY",
    b"CHECKOUT",
    b"MERGE",
    b"M-SEARCH",
    b"NOTIFY",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"PURGE",
    b"MKCALENDAR",
    b"LINK",
    b"UNLINK",
    b"SOURCE",
];

/// What a connection accepts.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Lines of header. (envoy: HttpProtocolOptions.max_headers_count)
    pub max_headers: usize,
    /// Whether HTTP/1.0 is served. (envoy: Http1ProtocolOptions.accept_http_10)
    pub accept_http_10: bool,
    /// Whether the connection is encrypted: the scheme of its requests.
    pub is_tls: bool,
}

/// A request whose head is complete.
#[derive(Debug)]
pub struct ParsedRequest {
    /// The head; framing lines (`content-length`, `transfer-encoding`, `connection`) are still in it.
    pub head: RequestHead,
    /// How the body is delimited, never [`BodyLength::UntilClose`].
    pub body: BodyLength,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Parses a complete head. `spare` is memory of an earlier message.
///
/// # Errors
/// For all that is not a request of HTTP/1.0 or 1.1 in the one form that everybody reads alike.
pub fn parse_request(
    bytes: &[u8],
    limits: RequestLimits,
    spare: Headers,
) -> Result<ParsedRequest, HeadError> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let room = lines.get_mut(..MAX_LINES.min(limits.max_headers)).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, room) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(HeadError::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
        Err(httparse::Error::HeaderValue) => return Err(HeadError::Characters),
        // A byte that no line may have is told from a line that only does not parse.
        Err(_) if bytes.contains(&0) => return Err(HeadError::Characters),
        Err(_) => return Err(line_error(bytes)),
    }
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(HeadError::Malformed);
    };
    if version == 0 && !limits.accept_http_10 {
        return Err(HeadError::Version);
    }
    if !METHODS.contains(&method.as_bytes()) {
        return Err(HeadError::Malformed);
    }

    let mut head = RequestHead::reuse(spare);
    head.protocol = if version == 0 { Protocol::Http10 } else { Protocol::Http11 };
    head.scheme = if limits.is_tls { Scheme::Https } else { Scheme::Http };
    head.set_method(method.as_bytes());
    let mut host = None;
    for line in request.headers.iter() {
        if line.name.eq_ignore_ascii_case("host") {
            if host.replace(line.value).is_some() || !is_host(line.value) {
                return Err(HeadError::Host);
            }
        } else {
            head.headers.append(line.name.as_bytes(), line.value);
        }
    }
    set_target(&mut head, target.as_bytes(), host)?;
    if nominates_forwarding(&head) {
        return Err(HeadError::Nominated);
    }
    let body = body_length(&head)?;
    let expects_continue = version == 1
        && head.headers.get(Id::EXPECT).is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
    let keep_alive = keeps_alive(&head.headers, version == 0);
    Ok(ParsedRequest { head, body, keep_alive, expects_continue })
}

/// A line without a version is HTTP/0.9, and three words may end in a version that is not spoken here; anything else is no request line.
fn line_error(bytes: &[u8]) -> HeadError {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let is_version = |word: &[u8]| match word.strip_prefix(b"HTTP/") {
        Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    };
    let words = [words.next(), words.next(), words.next(), words.next()];
    match words {
        [Some(_), Some([b'/', ..]), None, None] => HeadError::Version,
        [Some(_), Some(_), Some(b"HTTP/1.0" | b"HTTP/1.1"), None] => HeadError::Malformed,
        [Some(_), Some(_), Some(version), None] if is_version(version) => HeadError::Version,
        _ => HeadError::Malformed,
    }
}

/// False if what has come cannot become a request line: it does not begin as a method does.
#[must_use]
pub(super) fn may_be_request(input: &[u8]) -> bool {
    const LONGEST_METHOD: usize = 11;
    let start = input.get(..LONGEST_METHOD + 1).unwrap_or(input);
    let word = start.split(|byte| *byte == b' ').next().unwrap_or_default();
    word.len() <= LONGEST_METHOD
        && word.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-' || *byte == b'\r')
}

/// A client that says that a forwarding header belongs to its connection wants it stripped, perhaps one that a trusted hop has set.
fn nominates_forwarding(head: &RequestHead) -> bool {
    let names = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    head.headers.contains(Id::CONNECTION)
        && names.iter().any(|name| head.headers.has_token(Id::CONNECTION, name))
}

fn body_length(head: &RequestHead) -> Result<BodyLength, HeadError> {
    let declared = declared_length(&head.headers)?;
    if declared == Some(BodyLength::Chunked) && head.protocol == Protocol::Http10 {
        return Err(HeadError::Malformed);
    }
    // Without a length a request has no body, and never one that lasts until the connection closes.
    Ok(declared.unwrap_or(BodyLength::Exact(0)))
}

/// Splits the request target (RFC 9112 §3.2) into authority and path.
fn set_target(head: &mut RequestHead, target: &[u8], host: Option<&[u8]>) -> Result<(), HeadError> {
    // A fragment (`#`) is left for path normalisation to refuse: there it has a log line.
    if !target.is_ascii() {
        return Err(HeadError::Malformed);
    }
    if let Some(host) = host {
        head.set_authority(host);
    }
    if head.method() == b"CONNECT" {
        if !is_host(target) || target.is_empty() {
            return Err(HeadError::Target);
        }
        head.set_authority(target);
    } else if target.starts_with(b"/") || (target == b"*" && head.method() == b"OPTIONS") {
        head.set_path(target);
    } else {
        if target == b"*" {
            return Err(HeadError::Target);
        }
        if !target.windows(3).any(|three| three == b"://") {
            return Err(HeadError::Malformed);
        }
        let (authority, path) = absolute_form(target).ok_or(HeadError::Target)?;
        // RFC 9112 §3.2.2: the authority of the target replaces the host line.
        head.set_authority(authority);
        if path.starts_with(b"/") {
            head.set_path(path);
        } else {
            head.set_path(&[b"/", path].concat());
        }
    }
    Ok(())
}

fn absolute_form(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let after = |scheme: &[u8]| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let rest = after(b"http://").or_else(|| after(b"https://"))?;
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    (!authority.is_empty() && is_host(authority)).then_some((authority, path))
}

/// True for what can be a host with an optional port (RFC 3986 §3.2.2), or nothing. User information, paths and
/// lists are no hosts: parsers disagree about which part of them names one.
#[must_use]
pub fn is_host(value: &[u8]) -> bool {
    let (name, port) = match value.first() {
        Some(b'[') => {
            let Some(end) = memchr::memchr(b']', value) else { return false };
            let (name, rest) = value.split_at_checked(end + 1).unwrap_or_default();
            let inner = name.get(1..end).unwrap_or_default();
            if !inner.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'%')) {
                return false;
            }
            match rest.split_first() {
                None => (name, None),
                Some((b':', port)) => (name, Some(port)),
                Some(_) => return false,
            }
        }
        _ => match memchr::memchr(b':', value) {
            Some(at) => (value.get(..at).unwrap_or_default(), value.get(at + 1..)),
            None => (value, None),
        },
    };
    let is_name = name.first() == Some(&b'[') || name.iter().all(|b| is_name_byte(*b));
    is_name
        && port.is_none_or(|port| port.is_empty() || parse_length(port).is_some_and(|p| p < 65536))
}

const fn is_name_byte(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits =
        RequestLimits { max_headers: 100, accept_http_10: false, is_tls: false };

    fn parse(text: &str) -> Result<ParsedRequest, HeadError> {
        parse_request(text.as_bytes(), LIMITS, Headers::new())
    }

    fn with_target(target: &str) -> Result<ParsedRequest, HeadError> {
        parse(&format!("GET {target} HTTP/1.1\r\nhost: a.com\r\n\r\n"))
    }

    #[test]
    fn a_plain_request() {
        let request = parse(
            "POST /p?q HTTP/1.1\r\nHost: a.com:80\r\nX-Role:  user \r\nx-role: admin\r\n\
             Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n",
        )
        .unwrap();
        assert_eq!(request.head.method(), b"POST");
        assert_eq!(request.head.path(), b"/p?q");
        assert_eq!(request.head.authority(), Some(b"a.com:80".as_slice()));
        assert_eq!(request.head.headers.len(), 4);
        assert_eq!(request.body, BodyLength::Exact(5));
        assert!(request.keep_alive && request.expects_continue);
    }

    #[test]
    fn targets() {
        let absolute = with_target("http://b.com:81?x=1").unwrap().head;
        assert_eq!(absolute.authority(), Some(b"b.com:81".as_slice()));
        assert_eq!(absolute.path(), b"/?x=1");
        for bad in ["admin", "*", "/\u{e9}", "ftp://a/", "http:///x", "http://u@a.com/"] {
            assert!(with_target(bad).is_err(), "{bad}");
        }
        assert!(parse("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").is_ok());
        let connect = parse("CONNECT a.com:443 HTTP/1.1\r\nhost: b\r\n\r\n").unwrap().head;
        assert_eq!(connect.authority(), Some(b"a.com:443".as_slice()));
        assert!(parse("CONNECT / HTTP/1.1\r\nhost: b\r\n\r\n").is_err());
    }

    #[test]
    fn heads_that_could_be_read_in_two_ways_are_refused() {
        for text in [
            "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a.com/secret\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: u@a.com\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a.com,b.com\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx : a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n",
            "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n",
            "get / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \x0bchunked\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn versions() {
        let old = "GET / HTTP/1.0\r\nhost: a\r\n\r\n";
        assert_eq!(parse(old).unwrap_err(), HeadError::Version);
        let limits = RequestLimits { accept_http_10: true, ..LIMITS };
        let request = parse_request(old.as_bytes(), limits, Headers::new()).unwrap();
        assert!(!request.keep_alive && request.head.protocol == Protocol::Http10);
        let chunked = b"GET / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(parse_request(chunked, limits, Headers::new()).is_err());
        for version in ["HTTP/1.2", "HTTP/2.0"] {
            let text = format!("GET / {version}\r\nhost: a\r\n\r\n");
            assert_eq!(parse(&text).unwrap_err(), HeadError::Version);
        }
    }

    #[test]
    fn the_number_of_lines_is_limited() {
        let lines = |n| "a: b\r\n".repeat(n);
        assert!(parse(&format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", lines(99))).is_ok());
        let result = parse(&format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", lines(100)));
        assert_eq!(result.unwrap_err(), HeadError::TooManyHeaders);
    }

    #[test]
    fn hosts() {
        for good in ["", "a", "a.b:80", "a:", "[::1]", "[::1]:80", "a_b-c~", "127.0.0.1:65535"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in ["a b", "a/b", "a@b", "a,b", "[::1", "[g]", "[::1]x", "a:b", "a:65536", "a\\b"] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
