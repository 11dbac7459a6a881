//! The examples of RFC 7541 appendix C, limits of the tables, and what is refused.

use outrigger_policy::head::{RequestHead, ResponseHead};

use super::super::{request, response, trailers};
use super::*;

#[derive(Debug, Default)]
struct Collected(Vec<(String, String)>);

impl Sink for Collected {
    fn field(&mut self, id: Id, name: &[u8], value: &[u8]) -> Result<(), Violation> {
        assert_eq!(Id::of(name), id, "{}", name.escape_ascii());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.0.push((text(name), text(value)));
        Ok(())
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, BlockError> {
    let mut collected = Collected::default();
    decoder.decode(block, &mut collected).map(|()| collected.0)
}

/// Decodes blocks one after the other with one decoder, and compares with `name: value` lines.
fn sequence(table: Option<usize>, blocks: &[(&str, &[&str])]) -> Decoder {
    let mut decoder = Decoder::default();
    if let Some(limit) = table {
        decoder.table.set_limit(limit);
    }
    for (hex, expected) in blocks {
        let decoded = decode(&mut decoder, &bytes(hex)).unwrap();
        let lines: Vec<_> =
            decoded.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(lines, *expected);
    }
    decoder
}

fn table_of(decoder: &Decoder) -> Vec<String> {
    (0..)
        .map_while(|index| decoder.table.get(index))
        .map(|(_, name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
        .collect()
}

#[test]
fn integers_c_1() {
    let mut input: &[u8] = &[];
    assert_eq!(integer(10, 0x1f, &mut input), Ok(10));
    let mut input: &[u8] = &[0b1001_1010, 0b0000_1010];
    assert_eq!(integer(31, 0x1f, &mut input), Ok(1337));
    let mut input: &[u8] = &[];
    assert_eq!(integer(42, 0xff, &mut input), Ok(42));
    for endless in [&[0xff; 10][..], &[0x80; 4], &[0x80]] {
        assert_eq!(integer(31, 0x1f, &mut &*endless), Err(BlockError::Compression));
    }
}

#[test]
fn literals_and_indexes_c_2() {
    let decoder = sequence(
        None,
        &[(
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &["custom-key: custom-header"],
        )],
    );
    assert_eq!(table_of(&decoder), ["custom-key: custom-header"]);
    let decoder =
        sequence(None, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"])]);
    assert_eq!(table_of(&decoder), [""; 0]);
    let decoder =
        sequence(None, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"])]);
    assert_eq!(table_of(&decoder), [""; 0]);
    sequence(None, &[("82", &[":method: GET"])]);
}

const FIRST: &[&str] =
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const SECOND: &[&str] = &[
    ":method: GET",
    ":scheme: http",
    ":path: /",
    ":authority: www.example.com",
    "cache-control: no-cache",
];
const THIRD: &[&str] = &[
    ":method: GET",
    ":scheme: https",
    ":path: /index.html",
    ":authority: www.example.com",
    "custom-key: custom-value",
];

#[test]
fn requests_c_3_and_c_4() {
    let plain = sequence(
        None,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST),
            ("8286 84be 5808 6e6f 2d63 6163 6865", SECOND),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", THIRD),
        ],
    );
    let huffman = sequence(
        None,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST),
            ("8286 84be 5886 a8eb 1064 9cbf", SECOND),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", THIRD),
        ],
    );
    for decoder in [plain, huffman] {
        assert_eq!(
            table_of(&decoder),
            ["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"]
        );
    }
}

#[test]
fn responses_c_5_and_c_6_with_a_table_of_256_bytes() {
    let first: &[&str] = &[
        ":status: 302",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ];
    let second: &[&str] = &[":status: 307", first[1], first[2], first[3]];
    let third: &[&str] = &[
        ":status: 200",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
        "location: https://www.example.com",
        "content-encoding: gzip",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];
    let plain = sequence(
        Some(256),
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                first,
            ),
            ("4803 3330 37c1 c0bf", second),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                third,
            ),
        ],
    );
    let huffman = sequence(
        Some(256),
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                first,
            ),
            ("4883 640e ffc1 c0bf", second),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                third,
            ),
        ],
    );
    for decoder in [plain, huffman] {
        assert_eq!(table_of(&decoder), [third[5], third[4], third[2]]);
    }
}

#[test]
fn broken_blocks_are_refused() {
    let cases: [(&[u8], BlockError); 12] = [
        (&[0x80], BlockError::Compression),
        (&[0xbe], BlockError::Compression),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], BlockError::Compression),
        (&[0x40], BlockError::Compression),
        (&[0x40, 5, b'a'], BlockError::Compression),
        (&[0x00, 1, b'a'], BlockError::Compression),
        // A table larger than ours, and a change of it behind a field.
        (&[0x3f, 0xe2, 0x1f], BlockError::Compression),
        (&[0x82, 0x20], BlockError::Compression),
        (&[0x00, 0, 0], BlockError::Field),
        (&[0x00, 1, b'A', 0], BlockError::Field),
        (&[0x00, 1, b' ', 0], BlockError::Field),
        (&[0x00, 1, b'a', 1, b'\n'], BlockError::Field),
    ];
    for (block, error) in cases {
        assert_eq!(decode(&mut Decoder::default(), block), Err(error), "{block:x?}");
    }
    // Our whole table, and changes one after the other, are allowed.
    assert!(decode(&mut Decoder::default(), &[0x20, 0x3f, 0xe1, 0x1f, 0x82]).is_ok());
}

#[test]
fn what_we_write_is_read_as_itself() {
    let mut head = RequestHead::new(b"PUT", b"a.test:80", b"/p?q");
    for (name, value) in [
        ("x-a", "1"),
        ("connection", "close"),
        ("te", "trailers"),
        ("te", "gzip"),
        ("cookie", "a=b"),
        ("user-agent", &"u".repeat(300)),
        ("content-length", "5"),
    ] {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    let mut block = Vec::new();
    request(&mut block, &head);
    let lines = decode(&mut Decoder::default(), &block).unwrap();
    let names: Vec<_> = lines.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            ":method",
            ":scheme",
            ":authority",
            ":path",
            "x-a",
            "te",
            "cookie",
            "user-agent",
            "content-length"
        ]
    );
    assert_eq!(lines[7].1.len(), 300);
    for status in 200..600 {
        let mut block = Vec::new();
        response(&mut block, &ResponseHead::new(status));
        let lines = decode(&mut Decoder::default(), &block).unwrap();
        assert_eq!(lines, [(":status".to_owned(), status.to_string())]);
    }
    let mut block = Vec::new();
    trailers(&mut block, &head.headers);
    assert_eq!(decode(&mut Decoder::default(), &block).unwrap().len(), 5);
}
