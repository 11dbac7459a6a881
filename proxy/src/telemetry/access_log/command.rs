//! `%NAME(ARGS):LENGTH%`, taken apart. Envoy reads it by the regular expression `%([A-Z0-9_]+)(\((.*?)\))?(:([0-9]+))?%`, so
//! arguments end at the first parenthesis after which the rest fits, and hold no line break.

/// A command of a format string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command<'a> {
    /// The operator's name.
    pub(super) name: &'a str,
    /// What stands between the parentheses; empty without them.
    pub(super) args: &'a str,
    /// Bytes after which a value is cut.
    pub(super) max_length: Option<usize>,
}

impl<'a> Command<'a> {
    /// The command at the begin of `text`, which follows a `%`, and what comes after its last `%`.
    pub(super) fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let end = text.find(|c| !is_name(c)).filter(|end| *end > 0)?;
        let (name, rest) = text.split_at_checked(end)?;
        let Some(inner) = rest.strip_prefix('(') else {
            let (max_length, rest) = parse_end(rest)?;
            return Some((Self { name, args: "", max_length }, rest));
        };
        for (at, _) in inner.match_indices([')', '\n']) {
            let (args, rest) = inner.split_at_checked(at)?;
            let rest = rest.strip_prefix(')')?;
            if let Some((max_length, rest)) = parse_end(rest) {
                return Some((Self { name, args, max_length }, rest));
            }
        }
        None
    }
}

/// `:LENGTH%` or `%`.
fn parse_end(text: &str) -> Option<(Option<usize>, &str)> {
    if let Some(rest) = text.strip_prefix('%') {
        return Some((None, rest));
    }
    let (digits, rest) = text.strip_prefix(':')?.split_once('%')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let length = digits.parse().ok().filter(|_| is_number)?;
    Some((Some(length), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_apart_as_envoy_does() {
        // Each line was given to Envoy 1.40.
        for (text, expected) in [
            ("DURATION%x", Some(("DURATION", "", None, "x"))),
            ("DURATION:3%", Some(("DURATION", "", Some(3), ""))),
            ("REQ(X?Y):12% b", Some(("REQ", "X?Y", Some(12), " b"))),
            ("REQ()%", Some(("REQ", "", None, ""))),
            ("REQ(a)b)%", Some(("REQ", "a)b", None, ""))),
            ("START_TIME(%Y%m)%", Some(("START_TIME", "%Y%m", None, ""))),
            ("START_TIME(%)%", Some(("START_TIME", "%", None, ""))),
            ("REQ(X):0%", Some(("REQ", "X", Some(0), ""))),
            ("REQ(x", None),
            ("REQ(x)", None),
            ("REQ(x):%", None),
            ("REQ(x):-1%", None),
            ("REQ(x):+1%", None),
            ("REQ(x):99999999999999999999999%", None),
            ("REQ(x\n)%", None),
            ("req(x)%", None),
            ("REQ (x)%", None),
            (" REQ(x)%", None),
            ("", None),
            ("é%", None),
        ] {
            let parsed = Command::parse(text);
            let parsed = parsed.map(|(c, rest)| (c.name, c.args, c.max_length, rest));
            assert_eq!(parsed, expected, "{text}");
        }
    }
}
