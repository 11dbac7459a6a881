//! Which virtual host serves an authority. (envoy: config.route.v3.VirtualHost.domains)
//!
//! Exact domain first, then the longest `*suffix`, then the longest `prefix*`, then `*`; no regard to
//! ASCII case. A wildcard stands for at least one byte, at one end only: `a.*.com` is an exact domain.
//! Called by the route table, which has taken the port off the authority if it is configured to.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use super::byte_map::ByteMap;
use super::prefix_map::PrefixMap;

#[cfg(test)]
mod tests;

/// Longest domain, in bytes: a DNS name has 253 (RFC 1035 §2.3.4), its trailing dot and `:65535` seven.
const MAX_LEN: usize = 260;

/// Domains of one route configuration, each with the index of its virtual host.
#[derive(Debug)]
pub(super) struct Domains {
    exact: ByteMap<usize>,
    /// Without the asterisk, last byte first.
    suffixes: PrefixMap<usize>,
    /// Without the asterisk.
    prefixes: PrefixMap<usize>,
    any: Option<usize>,
}

/// A domain cannot be served as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DomainError {
    /// It stands twice, with or without regard to case.
    Duplicate(String),
    /// It is longer than [`MAX_LEN`].
    TooLong(String),
}

impl Domains {
    pub(super) fn new<'a>(
        domains: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Result<Self, DomainError> {
        let mut exact = ByteMap::default();
        let (mut suffixes, mut prefixes) = (BTreeMap::new(), BTreeMap::new());
        let mut any = None;
        for (domain, host) in domains {
            let domain = domain.to_ascii_lowercase();
            if domain.len() > MAX_LEN {
                return Err(DomainError::TooLong(domain));
            }
            let earlier = if domain == "*" {
                any.replace(host)
            } else if let Some(suffix) = domain.strip_prefix('*') {
                suffixes.insert(suffix.bytes().rev().collect(), host)
            } else if let Some(prefix) = domain.strip_suffix('*') {
                prefixes.insert(prefix.as_bytes().into(), host)
            } else {
                match exact.entry(domain.as_bytes().into()) {
                    Entry::Occupied(held) => Some(*held.get()),
                    Entry::Vacant(slot) => {
                        slot.insert(host);
                        None
                    }
                }
            };
            if earlier.is_some() {
                return Err(DomainError::Duplicate(domain));
            }
        }
        let (suffixes, prefixes) = (PrefixMap::new(suffixes), PrefixMap::new(prefixes));
        Ok(Self { exact, suffixes, prefixes, any })
    }

    /// The virtual host for an authority of any length and content. Allocates nothing.
    pub(super) fn find(&self, authority: &[u8]) -> Option<usize> {
        self.find_exact(authority)
            .or_else(|| self.find_suffix(authority))
            .or_else(|| self.find_prefix(authority))
            .or(self.any)
    }

    fn find_exact(&self, authority: &[u8]) -> Option<usize> {
        if self.exact.is_empty() {
            return None;
        }
        let mut buffer = [0; MAX_LEN];
        let lower = buffer.get_mut(..authority.len())?;
        lower.copy_from_slice(authority);
        lower.make_ascii_lowercase();
        self.exact.get(&*lower).copied()
    }

    fn find_suffix(&self, authority: &[u8]) -> Option<usize> {
        if self.suffixes.is_empty() {
            return None;
        }
        // The first byte is the least that the asterisk stands for.
        let (_, rest) = authority.split_first()?;
        find_longest(&self.suffixes, rest.iter().rev())
    }

    fn find_prefix(&self, authority: &[u8]) -> Option<usize> {
        if self.prefixes.is_empty() {
            return None;
        }
        let (_, rest) = authority.split_last()?;
        find_longest(&self.prefixes, rest.iter())
    }
}

/// The longest wildcard that `bytes` start with. No wildcard reaches beyond the buffer.
fn find_longest<'a>(
    wildcards: &PrefixMap<usize>,
    bytes: impl Iterator<Item = &'a u8>,
) -> Option<usize> {
    let mut buffer = [0; MAX_LEN];
    let mut len = 0;
    for (slot, byte) in buffer.iter_mut().zip(bytes) {
        *slot = byte.to_ascii_lowercase();
        len += 1;
    }
    wildcards.prefixes_of(buffer.get(..len)?).next().copied()
}

/// `authority` up to its last colon, unless that stands inside the brackets of an IPv6 address. What
/// follows the colon need not be a number.
/// (envoy: config.route.v3.RouteConfiguration.ignore_port_in_host_matching)
pub(super) fn without_port(authority: &[u8]) -> &[u8] {
    match memchr::memrchr2(b':', b']', authority) {
        Some(at) if authority.get(at) == Some(&b':') => authority.get(..at).unwrap_or(authority),
        _ => authority,
    }
}
