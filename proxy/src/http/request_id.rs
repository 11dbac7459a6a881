//! `x-request-id`: a random UUID whose 15th digit tells why the request is traced.
//! (envoy: extensions.request_id.uuid.v3.UuidRequestIdConfig)

/// Length of a UUID in text.
pub const LENGTH: usize = 36;
/// Place of the digit that carries the trace reason; in a random UUID it is the version, 4.
const REASON: usize = 14;

/// Why a request is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceReason {
    /// It is not.
    NotTraced,
    /// It was picked at random.
    Sampled,
    /// `x-envoy-force-trace`.
    ServerForced,
    /// `x-client-trace-id`.
    ClientForced,
}

/// A version 4 UUID that cannot be guessed.
#[must_use]
pub fn random() -> [u8; LENGTH] {
    let mut bits = rand::random::<u128>();
    bits = bits & !(0xf << 76) | 4 << 76;
    bits = bits & !(0x3 << 62) | 0x2 << 62;
    // Where the digits of each byte stand.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; LENGTH];
    for (byte, place) in bits.to_be_bytes().into_iter().zip(PLACES) {
        if let Some(digits) = text.get_mut(place..place + 2) {
            digits.copy_from_slice(&hex(byte));
        }
    }
    text
}

/// Two digits, lower case.
const fn hex(byte: u8) -> [u8; 2] {
    const fn digit(nibble: u8) -> u8 {
        // Without a branch: ten and more skip what lies between '9' and 'a'.
        b'0' + nibble + ((nibble + 6) >> 4) * (b'a' - b'9' - 1)
    }
    [digit(byte >> 4), digit(byte & 0xf)]
}

/// Why the request with this id is traced; `None` if the id is no UUID.
#[must_use]
pub fn reason(id: &[u8]) -> Option<TraceReason> {
    if id.len() != LENGTH {
        return None;
    }
    Some(match id.get(REASON)? {
        b'9' => TraceReason::Sampled,
        b'a' => TraceReason::ServerForced,
        b'b' => TraceReason::ClientForced,
        _ => TraceReason::NotTraced,
    })
}

/// Writes the reason into an id, which stays as it is if it is no UUID.
pub fn set_reason(id: &mut [u8], reason: TraceReason) {
    if id.len() == LENGTH
        && let Some(digit) = id.get_mut(REASON)
    {
        *digit = match reason {
            TraceReason::NotTraced => b'4',
            TraceReason::Sampled => b'9',
            TraceReason::ServerForced => b'a',
            TraceReason::ClientForced => b'b',
        };
    }
}

/// The id as a number below `modulus`, for stable sampling; `None` if it is no UUID.
/// (envoy: `UUIDRequestIDExtension::getInteger`)
#[must_use]
pub fn modulo(id: &[u8], modulus: u32) -> Option<u32> {
    number(id)?.checked_rem(modulus)
}

/// The id as a number; `None` if it is no UUID.
#[must_use]
pub fn number(id: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(id.get(..8).filter(|_| id.len() >= LENGTH)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_4_uuids_and_differ() {
        let id = random();
        let text = std::str::from_utf8(&id).unwrap();
        assert_eq!(text.matches('-').count(), 4);
        assert_eq!(id[14], b'4');
        assert!(matches!(id[19], b'8' | b'9' | b'a' | b'b'));
        assert_ne!(id, random());
        assert_eq!(reason(&id), Some(TraceReason::NotTraced));
    }

    #[test]
    fn the_reason_is_one_digit() {
        let mut id = random();
        for why in [TraceReason::Sampled, TraceReason::ServerForced, TraceReason::ClientForced] {
            set_reason(&mut id, why);
            assert_eq!(reason(&id), Some(why));
        }
        assert_eq!(reason(b"abc"), None);
        assert_eq!(modulo(b"0000271a-0000-4000-8000-000000000000", 10_000), Some(10));
        assert_eq!(modulo(b"abc", 10_000), None);
    }
}
