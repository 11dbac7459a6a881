//! The Huffman code of HPACK (RFC 7541 appendix B): decoding only, because we write strings plain.
//!
//! The code is canonical: within a length codes follow the order of symbols, and longer ones follow shorter ones. So the lengths say all, and
//! the compiler makes the tables. Eight bits are looked up at once, which is enough for every character of ordinary headers.

/// Lengths of the codes of the 256 bytes and of the end-of-string symbol, in bits.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const LONGEST: usize = 30;
/// Stands for the end of the string, which must not occur in it.
const EOS: u16 = 256;
/// Bits that the first table takes.
const FIRST_BITS: u32 = 8;

struct Tables {
    /// By the next eight bits: the symbol and its length; length 0 if it is longer.
    first: [(u8, u8); 256],
    /// By length: the first code that is longer, shifted to the left end of 32 bits.
    limit: [u64; LONGEST + 1],
    /// By length: what leads from a code to its place in `order`.
    offset: [i64; LONGEST + 1],
    /// Symbols in the order of their codes.
    order: [u16; 257],
}

static TABLES: Tables = tables();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn tables() -> Tables {
    let mut tables = Tables {
        first: [(0, 0); 256],
        limit: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
        order: [0; 257],
    };
    let mut code: u64 = 0;
    let mut place = 0;
    let mut length = 1;
    while length <= LONGEST {
        code <<= 1;
        tables.offset[length] = place as i64 - code as i64;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                if length <= FIRST_BITS as usize {
                    let spread = FIRST_BITS as usize - length;
                    let mut tail = 0;
                    while tail < 1 << spread {
                        tables.first[((code as usize) << spread) + tail] =
                            (symbol as u8, length as u8);
                        tail += 1;
                    }
                }
                tables.order[place] = symbol as u16;
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        tables.limit[length] = code << (32 - length);
        length += 1;
    }
    tables
}

/// The string holds its own end, or ends in something else than the beginning of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadHuffman;

/// Appends what `input` stands for.
///
/// # Errors
/// If the code is broken, or its padding is (RFC 7541 §5.2).
pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) -> Result<(), BadHuffman> {
    // The shortest code has five bits.
    output.reserve(input.len() * 8 / 5);
    // The next bits stand at the left end of `bits`; behind `count` of them are zeros.
    let mut bits: u64 = 0;
    let mut count: u32 = 0;
    let mut bytes = input.iter();
    loop {
        while count <= 56 {
            let Some(byte) = bytes.next() else { break };
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        if count == 0 {
            return Ok(());
        }
        let (symbol, length) = TABLES.first.get((bits >> 56) as usize).copied().unwrap_or_default();
        let length = u32::from(length);
        if length != 0 && length <= count {
            output.push(symbol);
            bits <<= length;
            count -= length;
            continue;
        }
        if let Some((symbol, length)) = long(bits, count) {
            if symbol == EOS {
                return Err(BadHuffman);
            }
            // Every other symbol is a byte.
            output.push(symbol as u8);
            bits <<= length;
            count -= length;
            continue;
        }
        // Fewer than eight ones may be left: the beginning of the end-of-string symbol.
        let is_padding = count < 8 && bits == !(u64::MAX >> count);
        return if is_padding { Ok(()) } else { Err(BadHuffman) };
    }
}

/// The symbol at the left end of `bits` and its length, if `count` bits hold it.
fn long(bits: u64, count: u32) -> Option<(u16, u32)> {
    let left = bits >> 32;
    let length = (5..=LONGEST).find(|l| TABLES.limit.get(*l).is_some_and(|limit| left < *limit))?;
    if length as u32 > count {
        return None;
    }
    let code = (left >> (32 - length)) as i64;
    let place = code + TABLES.offset.get(length)?;
    let symbol = TABLES.order.get(usize::try_from(place).ok()?)?;
    Some((*symbol, length as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a string in the code, as a peer does.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut codes = [0_u32; 257];
        let mut code = 0_u32;
        for length in 1..=LONGEST as u8 {
            code <<= 1;
            for (symbol, _) in LENGTHS.iter().enumerate().filter(|(_, l)| **l == length) {
                codes[symbol] = code;
                code += 1;
            }
        }
        let mut bits = String::new();
        for byte in text {
            let width = usize::from(LENGTHS[usize::from(*byte)]);
            bits.push_str(&format!("{:0width$b}", codes[usize::from(*byte)]));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        bits.as_bytes()
            .chunks(8)
            .map(|eight| u8::from_str_radix(std::str::from_utf8(eight).unwrap(), 2).unwrap())
            .collect()
    }

    fn decoded(input: &[u8]) -> Result<Vec<u8>, BadHuffman> {
        let mut output = Vec::new();
        decode(input, &mut output).map(|()| output)
    }

    #[test]
    fn strings_of_the_rfc() {
        let www = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&www).unwrap(), b"www.example.com");
        let date = [
            0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b,
            0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
        ];
        assert_eq!(decoded(&date).unwrap(), b"Mon, 21 Oct 2013 20:13:21 GMT");
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encode(&all)).unwrap(), all);
        for byte in 0..=255 {
            assert_eq!(decoded(&encode(&[byte])).unwrap(), [byte]);
            assert_eq!(
                decoded(&encode(&[b'a', byte, byte, b'0'])).unwrap(),
                [b'a', byte, byte, b'0']
            );
        }
    }

    #[test]
    fn broken_ends_are_refused() {
        assert_eq!(decoded(&[]), Ok(Vec::new()));
        // `a` (00011) and zeros, and eight ones of padding.
        assert_eq!(decoded(&[0b0001_1000]), Err(BadHuffman));
        assert_eq!(decoded(&[0b0001_1111, 0xff]), Err(BadHuffman));
        // The end-of-string symbol itself.
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(BadHuffman));
    }
}
