//! Paths: what routes and policies see is in one spelling, whatever the client wrote.
//!
//! The rules are tried in all their combinations. What is checked is stated without the code that normalizes: no segment of the result
//! goes up, and a server that normalizes once more finds nothing to do.

use std::borrow::Cow;

use outrigger::http::path::{EscapedSlashes, Normalized, PathRules};

const ACTIONS: [EscapedSlashes; 4] = [
    EscapedSlashes::Keep,
    EscapedSlashes::Reject,
    EscapedSlashes::UnescapeAndRedirect,
    EscapedSlashes::UnescapeAndForward,
];

/// `data` is the target of a request.
pub fn path(data: &[u8]) {
    for escaped_slashes in ACTIONS {
        for switches in 0..4 {
            let (normalize, merge_slashes) = (switches & 1 != 0, switches & 2 != 0);
            let rules =
                PathRules { normalize, merge_slashes, strips_fragment: false, escaped_slashes };
            check(rules, data);
        }
    }
}

fn check(rules: PathRules, path: &[u8]) {
    let out = match rules.apply(path) {
        Normalized::Path(out) => out,
        Normalized::Redirect(out) => {
            assert_eq!(rules.escaped_slashes, EscapedSlashes::UnescapeAndRedirect, "{rules:?}");
            Cow::Owned(out)
        }
        Normalized::Refused => {
            assert!(rules.normalize || rules.escaped_slashes == EscapedSlashes::Reject);
            return;
        }
    };
    let shown = || format!("{} -> {} by {rules:?}", path.escape_ascii(), out.escape_ascii());
    assert!(out.len() <= path.len() * 3, "grows: {}", shown());
    match rules.apply(&out) {
        Normalized::Path(again) => assert_eq!(again, out, "not idempotent: {}", shown()),
        other => assert_eq!(other, Normalized::Path(out.clone()), "not idempotent: {}", shown()),
    }

    let (before, query) = without_query(path);
    let (after, kept) = without_query(&out);
    assert_eq!(query, kept, "the query is nobody's business: {}", shown());
    if !before.starts_with(b"/") {
        assert_eq!(before, after, "only paths are normalized: {}", shown());
        return;
    }
    assert!(after.starts_with(b"/"), "no path any more: {}", shown());
    if rules.merge_slashes {
        assert!(!after.windows(2).any(|pair| pair == b"//"), "slashes left: {}", shown());
    }
    if rules.escaped_slashes != EscapedSlashes::Keep {
        let left = [b"%2f", b"%2F", b"%5c", b"%5C"];
        assert!(!left.iter().any(|escape| holds(after, *escape)), "escapes left: {}", shown());
    }
    if rules.normalize {
        assert!(!after.contains(&b'\\'), "a backslash: {}", shown());
        assert!(!holds(after, b"%00"), "a NUL: {}", shown());
        assert!(!after.split(|byte| *byte == b'/').any(goes_up), "goes up: {}", shown());
    }
}

/// True for `.` and `..`, with dots escaped or not, and with or without parameters.
fn goes_up(segment: &[u8]) -> bool {
    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    let dots = String::from_utf8_lossy(name).to_ascii_lowercase().replace("%2e", ".");
    dots == "." || dots == ".."
}

fn without_query(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
    path.split_at_checked(end).unwrap_or_default()
}

fn holds(path: &[u8], part: &[u8]) -> bool {
    path.windows(part.len()).any(|window| window == part)
}
