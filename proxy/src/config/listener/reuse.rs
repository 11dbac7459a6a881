//! Filter chains that an update of a listener repeats stay the same objects, and their connections stay.
//!
//! Only where nothing else of the listener has changed: a chain may depend on all of it. Bytes tell, so nothing is decoded for this.
//! (envoy: `ListenerManagerImpl`, "filter chain only update")

use std::collections::HashMap;

use bytes::Bytes;
use prost::encoding::{self, DecodeContext, WireType};

use crate::listener::Listener;

/// (envoy: Listener.filter_chains)
const FILTER_CHAINS: u32 = 3;
/// (envoy: Listener.default_filter_chain)
const DEFAULT_FILTER_CHAIN: u32 = 25;

/// Puts chains of `old`, which came as `before`, into `new`, which came as `now`. True if only chains have changed.
pub(in crate::config) fn keep_chains(
    new: &mut Listener,
    now: &Bytes,
    old: &Listener,
    before: &Bytes,
) -> bool {
    // Both were decoded when they arrived.
    let (Ok(now), Ok(before)) = (Parts::of(now), Parts::of(before)) else { return false };
    if now.rest != before.rest {
        return false;
    }
    let held: HashMap<_, _> = before.chains.iter().zip(&old.chains).collect();
    for (chain, message) in new.chains.iter_mut().zip(&now.chains) {
        if let Some(held) = held.get(message) {
            *chain = (*held).clone();
        }
    }
    if now.default == before.default {
        new.default_chain.clone_from(&old.default_chain);
    }
    true
}

/// A listener's message, taken apart.
#[derive(Default)]
struct Parts {
    chains: Vec<Bytes>,
    default: Vec<u8>,
    rest: Vec<u8>,
}

impl Parts {
    fn of(message: &Bytes) -> Result<Self, prost::DecodeError> {
        let mut parts = Self::default();
        let mut left = message.clone();
        while !left.is_empty() {
            let field = left.clone();
            let (tag, wire_type) = encoding::decode_key(&mut left)?;
            if tag == FILTER_CHAINS && wire_type == WireType::LengthDelimited {
                let mut chain = Bytes::new();
                let context = DecodeContext::default();
                encoding::bytes::merge(wire_type, &mut chain, &mut left, context)?;
                parts.chains.push(chain);
                continue;
            }
            encoding::skip_field(wire_type, tag, &mut left, DecodeContext::default())?;
            let bytes = field.get(..field.len() - left.len()).unwrap_or_default();
            let part =
                if tag == DEFAULT_FILTER_CHAIN { &mut parts.default } else { &mut parts.rest };
            part.extend_from_slice(bytes);
        }
        Ok(parts)
    }
}
