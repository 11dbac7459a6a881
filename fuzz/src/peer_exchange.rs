//! The first bytes of a TCP connection between proxies of a mesh: a peer's word for itself, and then the application's.
//!
//! What is checked: how the bytes arrive changes nothing; what passes is the end of what came, and all of it if nobody has begun to tell
//! anything; and after our own word every byte passes.

use outrigger::listener::network::{PeerExchange, Taken};
use outrigger::peer::exchange::frame;
use outrigger::peer::{Own, Peer};
use outrigger::telemetry::metrics::MetadataExchangeStats;

use crate::peer_metadata::unnumbered;
use crate::split::splits;

const PROTOCOL: &str = "istio-peer-exchange";
const MAGIC: &[u8] = b"\x3d\x23\x04\x67";

/// Who was heard, and the application's bytes; `None` if the connection has to end.
type Outcome = (Option<Peer>, Option<Vec<u8>>);

/// `data` is what the other side sends.
pub fn peer_exchange(data: &[u8]) {
    let own = Peer { workload: "own".into(), ..Peer::default() };
    let exchange = PeerExchange {
        protocol: PROTOCOL.into(),
        frame: frame(&Own { peer: own.clone(), ..Own::default() }, &[]).into(),
        stats: MetadataExchangeStats::detached(1),
    };
    let whole = hear(&exchange, &[data]);
    for pieces in splits(data) {
        assert_eq!(hear(&exchange, &pieces), whole, "in pieces of {:?}", lengths(&pieces));
    }
    match &whole.1 {
        Some(passed) => {
            assert!(data.ends_with(passed), "other bytes pass than came");
            if !data.starts_with(MAGIC) {
                assert_eq!(passed.len(), data.len(), "bytes of the application are lost");
            }
            if whole.0.is_some() {
                assert!(passed.len() + 8 < data.len(), "nobody can say so little");
            }
        }
        None => assert!(data.starts_with(MAGIC) && whole.0.is_none()),
    }
    let followed = [&*exchange.frame, data].concat();
    let expected = (Some(own), Some(data.to_vec()));
    assert_eq!(hear(&exchange, &[&followed]), expected, "what follows our own word");
}

fn hear(exchange: &PeerExchange, pieces: &[&[u8]]) -> Outcome {
    let mut passed = Vec::new();
    let Some(mut hearing) = exchange.begin(Some(PROTOCOL)) else { return (None, None) };
    for piece in pieces {
        if hearing.is_over() {
            passed.extend_from_slice(piece);
            continue;
        }
        match hearing.take(piece) {
            Taken::All => {}
            Taken::Passed(bytes) => passed.extend(bytes),
            Taken::Broken => return (None, None),
        }
    }
    passed.extend(hearing.end());
    (hearing.told().peer().map(unnumbered), Some(passed))
}

fn lengths(pieces: &[&[u8]]) -> Vec<usize> {
    pieces.iter().map(|piece| piece.len()).collect()
}
