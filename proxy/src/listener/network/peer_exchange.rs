//! Both ends of a TCP connection between proxies of a mesh say who they are before the bytes. (istio: `istio.metadata_exchange`)
//!
//! Only where ALPN has chosen the exchange's protocol. Ours is written before anything else; the other's is taken from in front of its bytes
//! while they are relayed, so neither side ever waits for the other.

use crate::peer::exchange::{Heard, listen};
use crate::telemetry::Told;
use crate::telemetry::metrics::{MetadataExchangeStat, MetadataExchangeStats};

/// The filter, of a listener's chain or of a cluster.
#[derive(Debug)]
pub struct PeerExchange {
    /// The protocol that ALPN must have chosen.
    pub protocol: Box<str>,
    /// What we say.
    pub frame: Box<[u8]>,
    /// Counters of `metadata_exchange.`.
    pub stats: MetadataExchangeStats,
}

/// The other side's word for itself, while it arrives.
#[derive(Debug)]
pub struct Hearing<'a> {
    exchange: &'a PeerExchange,
    /// Bytes that may be part of it.
    held: Vec<u8>,
    told: Told,
}

/// What becomes of bytes of the other side.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// They are kept: more are needed.
    All,
    /// These are the application's.
    Passed(Vec<u8>),
    /// Nobody knows where the application's begin: the connection has to end.
    Broken,
}

impl PeerExchange {
    /// What is to be heard on a connection that speaks `alpn`; `None` if nothing is said on it.
    #[must_use]
    pub fn begin(&self, alpn: Option<&str>) -> Option<Hearing<'_>> {
        let is_spoken = alpn == Some(&*self.protocol);
        self.stats.inc(if is_spoken {
            MetadataExchangeStat::alpn_protocol_found
        } else {
            MetadataExchangeStat::alpn_protocol_not_found
        });
        is_spoken.then(|| Hearing { exchange: self, held: Vec::new(), told: Told::NotYet })
    }
}

impl<'a> Hearing<'a> {
    /// What we say.
    #[must_use]
    pub fn frame(&self) -> &'a [u8] {
        self.exchange.stats.inc(MetadataExchangeStat::metadata_added);
        &self.exchange.frame
    }

    /// What was heard so far.
    #[must_use]
    pub fn told(&self) -> Told {
        self.told.clone()
    }

    /// True if all bytes are the application's from here on.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.told.is_settled()
    }

    /// Takes bytes of the other side.
    #[must_use]
    pub fn take(&mut self, bytes: &[u8]) -> Taken {
        self.held.extend_from_slice(bytes);
        let stats = &self.exchange.stats;
        let (told, length) = match listen(&self.held) {
            Heard::NeedMore => return Taken::All,
            Heard::Peer(peer, length) => (Told::Peer(peer), length),
            Heard::Nobody(length) => {
                stats.inc(MetadataExchangeStat::header_not_found);
                (Told::Nothing, length)
            }
            Heard::NotOne => {
                stats.inc(MetadataExchangeStat::initial_header_not_found);
                (Told::Nothing, 0)
            }
            Heard::TooLong => {
                stats.inc(MetadataExchangeStat::header_not_found);
                self.told = Told::Nothing;
                return Taken::Broken;
            }
        };
        self.told = told;
        let mut all = std::mem::take(&mut self.held);
        Taken::Passed(all.split_off(length.min(all.len())))
    }

    /// The other side ends before it has said all: what was held is the application's.
    #[must_use]
    pub fn end(&mut self) -> Vec<u8> {
        if !self.is_over() {
            self.told = Told::Nothing;
        }
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::exchange::{MAGIC, frame};
    use crate::peer::{Own, Peer};

    fn exchange() -> PeerExchange {
        let peer = Peer { workload: "w".into(), ..Peer::default() };
        PeerExchange {
            protocol: "istio-peer-exchange".into(),
            frame: frame(&Own { peer, ..Own::default() }, &[]).into(),
            stats: MetadataExchangeStats::detached(1),
        }
    }

    #[test]
    fn what_follows_the_frame_is_passed_however_it_is_cut() {
        let exchange = exchange();
        let bytes = [&*exchange.frame, b"application"].concat();
        for size in 1..=bytes.len() {
            let mut hearing = exchange.begin(Some("istio-peer-exchange")).unwrap();
            let mut passed = Vec::new();
            for piece in bytes.chunks(size) {
                if hearing.is_over() {
                    passed.extend_from_slice(piece);
                    continue;
                }
                match hearing.take(piece) {
                    Taken::All => {}
                    Taken::Passed(bytes) => passed.extend_from_slice(&bytes),
                    Taken::Broken => panic!(),
                }
            }
            assert_eq!(passed, b"application", "pieces of {size}");
            assert_eq!(hearing.told().peer().map(|peer| &*peer.workload), Some("w"));
        }
    }

    #[test]
    fn another_protocol_has_no_exchange_and_other_bytes_all_pass() {
        let exchange = exchange();
        assert!(exchange.begin(None).is_none());
        assert!(exchange.begin(Some("h2")).is_none());
        let count = |stat| exchange.stats.count(stat);
        assert_eq!(count(MetadataExchangeStat::alpn_protocol_not_found), 2);
        let mut hearing = exchange.begin(Some("istio-peer-exchange")).unwrap();
        assert_eq!(hearing.take(b"\x3d"), Taken::All);
        assert_eq!(hearing.take(b"EHLO"), Taken::Passed(b"\x3dEHLO".to_vec()));
        assert!(hearing.is_over() && hearing.told().peer().is_none());
        assert_eq!(count(MetadataExchangeStat::initial_header_not_found), 1);

        let mut hearing = exchange.begin(Some("istio-peer-exchange")).unwrap();
        assert_eq!(hearing.take(b"\x3d\x23"), Taken::All);
        assert_eq!(hearing.end(), b"\x3d\x23");
        let mut hearing = exchange.begin(Some("istio-peer-exchange")).unwrap();
        let long = [&MAGIC.to_be_bytes()[..], &u32::MAX.to_be_bytes()].concat();
        assert_eq!(hearing.take(&long), Taken::Broken);
    }
}
