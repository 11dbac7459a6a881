//! The peers that a worker has heard of lately: the same few say the same of themselves with every request.
//!
//! Found by the id that a peer gives itself, and only if it says the same as before: an id proves nothing, and whoever borrows
//! another's must not be taken for it. What is kept is bounded, since who talks to us decides how many there are.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustc_hash::FxHashMap;

use super::{Peer, wire};

/// Peers of one worker.
const MAX_PEERS: usize = 512;
/// Bytes of one peer's id and metadata; more is read anew each time.
const MAX_KEPT_BYTES: usize = 2048;

/// With padding, or without. (envoy: `Base64::decodeWithoutPadding`)
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a peer said, and who it is then.
#[derive(Debug)]
struct Known {
    said: Box<[u8]>,
    peer: Rc<Peer>,
}

thread_local! {
    static PEERS: RefCell<FxHashMap<Box<[u8]>, Known>> = RefCell::default();
    static NEXT_ID: Cell<u64> = const { Cell::new(1) };
}

/// The peer of the header lines `x-envoy-peer-metadata-id` and `x-envoy-peer-metadata`; `None` if they describe none.
#[must_use]
pub fn of_header(id: &[u8], value: &[u8]) -> Option<Rc<Peer>> {
    of(id, value, |value| {
        // Four characters are three bytes.
        if value.len() / 4 * 3 > wire::MAX_BYTES {
            return None;
        }
        wire::read(&BASE64.decode(value).ok()?).ok()
    })
}

/// The peer of an id and of metadata that is not encoded any more.
#[must_use]
pub fn of_struct(id: &[u8], metadata: &[u8]) -> Option<Rc<Peer>> {
    of(id, metadata, |metadata| wire::read(metadata).ok())
}

fn of(id: &[u8], said: &[u8], read: impl Fn(&[u8]) -> Option<Peer>) -> Option<Rc<Peer>> {
    PEERS.with_borrow_mut(|peers| {
        if let Some(known) = peers.get(id)
            && *known.said == *said
        {
            return Some(known.peer.clone());
        }
        let number = NEXT_ID.get();
        let peer = Rc::new(Peer { id: number, ..read(said)? });
        NEXT_ID.set(number + 1);
        if id.len() + said.len() <= MAX_KEPT_BYTES {
            if peers.len() >= MAX_PEERS {
                peers.clear();
            }
            peers.insert(id.into(), Known { said: said.into(), peer: peer.clone() });
        }
        Some(peer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Own;

    fn said(workload: &str) -> String {
        let peer = Peer { workload: workload.into(), ..Peer::default() };
        Own { peer, ..Own::default() }.header(&[])
    }

    #[test]
    fn the_same_words_are_the_same_peer_and_others_are_not() {
        let one = of_header(b"one", said("a").as_bytes()).unwrap();
        let again = of_header(b"one", said("a").as_bytes()).unwrap();
        assert!(Rc::ptr_eq(&one, &again));
        let thief = of_header(b"one", said("b").as_bytes()).unwrap();
        assert_eq!(&*thief.workload, "b");
        assert_ne!(thief.id, one.id);
        assert_eq!(&*of_header(b"one", said("a").as_bytes()).unwrap().workload, "a");
    }

    #[test]
    fn padding_may_be_left_out_and_nonsense_is_nobody() {
        let padded = said("abcd");
        let bare = padded.trim_end_matches('=');
        assert_eq!(&*of_header(b"", bare.as_bytes()).unwrap().workload, "abcd");
        assert_eq!(of_header(b"x", b"!"), None);
        assert_eq!(of_header(b"x", b"////"), None);
        assert_eq!(of_header(b"x", "A".repeat(4 * wire::MAX_BYTES).as_bytes()), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        for number in 0..2 * MAX_PEERS {
            of_header(number.to_string().as_bytes(), said("w").as_bytes()).unwrap();
        }
        let long = said(&"w".repeat(MAX_KEPT_BYTES));
        of_header(b"long", long.as_bytes()).unwrap();
        PEERS.with_borrow(|peers| {
            assert!(peers.len() <= MAX_PEERS);
            assert!(!peers.contains_key(b"long".as_slice()));
        });
    }
}
