//! Requests, as plain values that the interpreter reads and as what the engine is asked about.

use std::net::{IpAddr, SocketAddr};

use arbitrary::{Result, Unstructured};
use outrigger_policy::authz::{PeerIdentity, Request};
use outrigger_policy::head::RequestHead;

use super::words::{ADDRESSES, HEADERS, PATHS, PORTS, TEXTS, VALUES, choose, text};

/// A request.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) method: String,
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) lines: Vec<(String, Vec<u8>)>,
    pub(super) source: Option<IpAddr>,
    pub(super) direct_remote: Option<IpAddr>,
    pub(super) remote: Option<IpAddr>,
    pub(super) destination: Option<SocketAddr>,
    pub(super) sni: Option<String>,
    pub(super) peer: Option<PeerIdentity>,
}

impl Facts {
    pub(super) fn arbitrary(choices: &mut Unstructured<'_>) -> Result<Self> {
        let mut lines = Vec::new();
        for _ in 0..choices.int_in_range(0..=4)? {
            let name = choose(HEADERS, choices)?;
            // The others are no lines of a message.
            if !name.starts_with(':') && name != "host" {
                lines.push((name.to_owned(), choose(VALUES, choices)?.to_owned()));
            }
        }
        Ok(Self {
            method: choose(&["GET", "POST"], choices)?.to_owned(),
            authority: choose(&["b.com", "B.com", "b.com:80"], choices)?.to_owned(),
            path: choose(PATHS, choices)?.to_owned(),
            lines,
            source: address(choices)?,
            direct_remote: address(choices)?,
            remote: address(choices)?,
            destination: match address(choices)? {
                Some(ip) => Some(SocketAddr::new(ip, choose(PORTS, choices)?)),
                None => None,
            },
            sni: if choices.arbitrary()? { Some(text(choices)?) } else { None },
            peer: if choices.arbitrary()? { Some(peer(choices)?) } else { None },
        })
    }

    /// Calls `ask` with the request that these facts are of.
    pub(super) fn with_request(&self, ask: impl FnOnce(&Request<'_>)) {
        let (method, authority) = (self.method.as_bytes(), self.authority.as_bytes());
        let mut head = RequestHead::new(method, authority, self.path.as_bytes());
        for (name, value) in &self.lines {
            head.headers.append(name.as_bytes(), value);
        }
        ask(&Request {
            head: Some(&head),
            source: self.source,
            direct_remote: self.direct_remote,
            remote: self.remote,
            destination: self.destination,
            sni: self.sni.as_deref(),
            peer: self.peer.as_ref(),
        });
    }
}

fn address(choices: &mut Unstructured<'_>) -> Result<Option<IpAddr>> {
    // A Unix socket has none, now and then.
    if choices.ratio(1, 8)? {
        return Ok(None);
    }
    Ok(choose(ADDRESSES, choices)?.parse().ok())
}

fn peer(choices: &mut Unstructured<'_>) -> Result<PeerIdentity> {
    let mut names = |most| -> Result<Box<[Box<str>]>> {
        let count = choices.int_in_range(0..=most)?;
        (0..count).map(|_| Ok(choose(TEXTS, choices)?.into())).collect()
    };
    let (uri_sans, dns_sans) = (names(2)?, names(2)?);
    Ok(PeerIdentity { uri_sans, dns_sans, subject: text(choices)?.into() })
}
