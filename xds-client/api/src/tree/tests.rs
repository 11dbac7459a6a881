use super::*;

fn reason(text: &str) -> (u32, String) {
    let fault = parse(text.as_bytes()).unwrap_err();
    (fault.line, fault.reason)
}

/// The tree as text: scalars as `"quoted"` or `plain`, lines after `@`.
fn show(node: &Node) -> String {
    let content = match &node.content {
        Content::Scalar(Scalar { text, plain: true }) => text.to_string(),
        Content::Scalar(Scalar { text, plain: false }) => format!("{text:?}"),
        Content::List(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Content::Map(entries) => {
            let entry =
                |entry: &Entry| format!("{}@{}={}", entry.key, entry.line, show(&entry.node));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
    };
    format!("{content}@{}", node.line)
}

#[test]
fn every_node_knows_its_line() {
    for (text, expected) in [
        ("a: 1\nb:\n  - x\n  - y: 'z'\n", "{a@1=1@1 b@2=[x@3 {y@4=\"z\"@4}@4]@3}@1"),
        ("---\na: &n {k: v}\nb: *n\n...\n", "{a@2={k@2=v@2}@2 b@3={k@2=v@2}@2}@2"),
        ("a: |\n  x\n  y\nb: >-\n  p\n  q\n", "{a@1=\"x\\ny\\n\"@2 b@4=\"p q\"@5}@1"),
        ("a:\nb: ~\n", "{a@1=~@1 b@2=~@2}@1"),
        ("\u{feff}%YAML 1.2\n---\na: 0777\n", "{a@3=0777@3}@3"),
        ("&k a: 1\nb: {*k : 2}\n", "{a@1=1@1 b@2={a@1=2@2}@2}@1"),
    ] {
        assert_eq!(show(&parse(text.as_bytes()).unwrap()), expected, "{text}");
    }
}

#[test]
fn json_is_read_with_what_people_add_to_it() {
    for (text, expected) in [
        ("{\"a\":1,\"b\":[true,null],}", "{a@1=1@1 b@1=[true@1 null@1]@1}@1"),
        ("{\n\t\"a\":\t\"x\",\t# why\n\t\"b\": {\n\t}\n}\n", "{a@2=\"x\"@2 b@3={}@3}@1"),
        ("{a: 'x', \"b\":\"\\ud83d\\ude00\\/\\u00e9\\n\"}", "{a@1=\"x\"@1 b@1=\"😀/é\\n\"@1}@1"),
        ("{\"a\":{\"b\":{\"c\":[[],[1,]]}}}", "{a@1={b@1={c@1=[[]@1 [1@1]@1]@1}@1}@1}@1"),
    ] {
        assert_eq!(show(&parse(text.as_bytes()).unwrap()), expected, "{text}");
    }
}

#[test]
fn what_is_not_one_document_is_refused_with_its_line_and_path() {
    for (text, line, path, expected) in [
        ("", 1, "", "empty: expected a map"),
        ("a: 1\n---\nb: 2\n", 2, "", "a second document: expected one"),
        ("a: 1\nb: {a: 2, c: 3,\n  a: 4}\n", 3, "b", "the key \"a\" is already on line 2"),
        ("a: 1\nb: 2\n\"a\": 3\n", 3, "", "the key \"a\" is already on line 1"),
        ("a: 1\nb: [x, {c: !!int 5}]\n", 2, "b[1].c", "the tag !!int: tags are not supported"),
        ("a: !x [1]\n", 1, "a", "the tag !x: tags are not supported"),
        ("a:\n? [1, 2]\n: x\n", 2, "", "a list or map as a key: expected a name"),
        ("a: &x [1, *x]\n", 1, "a[1]", "an alias inside what it stands for"),
    ] {
        let fault = parse(text.as_bytes()).unwrap_err();
        assert_eq!((fault.line, &*fault.path, &*fault.reason), (line, path, expected), "{text}");
    }
    for (text, line) in
        [("a: 1\nb: *nope\n", 2), ("a:\n  b: [1,\nc: 2\n", 2), ("{\"a\": 1", 1), ("a: \"x", 1)]
    {
        assert_eq!(reason(text).0, line, "{text}: {}", reason(text).1);
    }
    assert_eq!(parse(b"a: 1\nb: \xff\n").unwrap_err().reason, "not UTF-8");
    assert_eq!(parse(b"a: 1\nb: \xff\n").unwrap_err().line, 2);
}

#[test]
fn hostile_documents_are_refused() {
    let deep = "[".repeat(100_000);
    assert!(parse(deep.as_bytes()).is_err());
    let deep = "{a: ".repeat(100_000);
    assert!(parse(deep.as_bytes()).is_err());
    let mut block = String::new();
    for level in 0..300 {
        block.push_str(&" ".repeat(level));
        block.push_str("a:\n");
    }
    assert!(parse(block.as_bytes()).is_err());

    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert_eq!(reason(&laughs).1, format!("more than {NODES_MAX} values, aliases expanded"));

    let half = DEPTH_MAX / 2;
    let nested = |inner| format!("{}{inner}{}", "[".repeat(half), "]".repeat(half));
    let deep = format!("a: &a {}\nb: &b {}\nc: *b\n", nested("x"), nested("*a"));
    assert_eq!(reason(&deep), (2, format!("more than {DEPTH_MAX} levels of lists and maps")));

    let big = "x".repeat(1 << 20);
    let copies = vec!["*big"; 100].join(", ");
    let bytes = format!("a: &big {big}\nb: [{copies}]\n");
    assert_eq!(
        reason(&bytes),
        (2, format!("longer than {DOCUMENT_BYTES_MAX} bytes, aliases expanded"))
    );

    let huge = format!("a: {}\n", "x".repeat(64 << 20));
    assert_eq!(reason(&huge), (1, format!("longer than {DOCUMENT_BYTES_MAX} bytes")));
    let large = format!("a: {}\n", "x".repeat(SCALAR_BYTES_MAX + 1));
    assert_eq!(reason(&large), (1, format!("a scalar of more than {SCALAR_BYTES_MAX} bytes")));
}

#[test]
fn what_is_nested_a_hundred_deep_is_read() {
    let text = format!("{}1{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
    assert!(parse(text.as_bytes()).is_ok());
    let text = format!("[{text}]");
    assert!(parse(text.as_bytes()).is_err());
}
