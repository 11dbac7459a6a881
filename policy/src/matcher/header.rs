//! A test of the lines of one header. (envoy: config.route.v3.HeaderMatcher)

use smallvec::SmallVec;

use super::string::StringMatcher;
use crate::head::{Name, RequestHead};

/// How several lines of one name are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// As one value joined by commas: routes.
    Joined,
    /// Each line by itself, one is enough: authorization, where a joined value would hide
    /// `x-role: admin` behind `x-role: user`.
    Each,
}

/// What the header must look like.
#[derive(Clone, Debug)]
pub enum HeaderRule {
    /// Present (true) or absent (false).
    Present(bool),
    /// A value that satisfies this.
    Value(StringMatcher),
    /// A base-10 integer within `start..end`.
    Range(std::ops::Range<i64>),
}

/// A [`HeaderRule`] for the header `name`, pseudo-headers included.
#[derive(Clone, Debug)]
pub struct HeaderMatcher {
    name: Name,
    rule: HeaderRule,
    invert: bool,
    missing_as_empty: bool,
    lines: Lines,
}

impl HeaderMatcher {
    /// `invert` negates the result, but an absent header matches no value rule either way, unless
    /// `missing_as_empty` gives it the empty value.
    #[must_use]
    pub const fn new(
        name: Name,
        rule: HeaderRule,
        invert: bool,
        missing_as_empty: bool,
        lines: Lines,
    ) -> Self {
        Self { name, rule, invert, missing_as_empty, lines }
    }

    /// The header that is looked at.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The rule, for explanations.
    #[must_use]
    pub const fn rule(&self) -> &HeaderRule {
        &self.rule
    }

    /// True if the rule's result is negated.
    #[must_use]
    pub const fn is_inverted(&self) -> bool {
        self.invert
    }

    /// True if the rule is a regular expression.
    #[must_use]
    pub const fn is_regex(&self) -> bool {
        matches!(&self.rule, HeaderRule::Value(matcher) if matcher.is_regex())
    }

    /// True if the request satisfies the rule.
    #[must_use]
    pub fn matches(&self, head: &RequestHead) -> bool {
        let mut values = head.values(&self.name);
        let Some(first) = values.next() else { return self.matches_missing() };
        let HeaderRule::Present(expected) = self.rule else {
            return self.matches_values(first, values) != self.invert;
        };
        expected != self.invert
    }

    fn matches_missing(&self) -> bool {
        match self.rule {
            HeaderRule::Present(expected) => {
                // An empty value counts as present.
                (expected == self.missing_as_empty) != self.invert
            }
            _ if self.missing_as_empty => self.is_value(b"") != self.invert,
            _ => false,
        }
    }

    fn matches_values<'a>(&self, first: &[u8], rest: impl Iterator<Item = &'a [u8]>) -> bool {
        match self.lines {
            Lines::Each => self.is_value(first) || { rest }.any(|value| self.is_value(value)),
            Lines::Joined => {
                let mut rest = rest.peekable();
                if rest.peek().is_none() {
                    return self.is_value(first);
                }
                let mut joined: SmallVec<[u8; 128]> = SmallVec::from_slice(first);
                for value in rest {
                    joined.push(b',');
                    joined.extend_from_slice(value);
                }
                self.is_value(&joined)
            }
        }
    }

    fn is_value(&self, value: &[u8]) -> bool {
        match &self.rule {
            HeaderRule::Present(expected) => *expected,
            HeaderRule::Value(matcher) => matcher.matches(value),
            HeaderRule::Range(range) => {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                number.is_some_and(|number| range.contains(&number))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::new(b"GET", b"a.com", b"/");
        for (name, value) in lines {
            head.headers.append(name.as_bytes(), value.as_bytes());
        }
        head
    }

    fn exact(value: &str, invert: bool, missing_as_empty: bool, lines: Lines) -> HeaderMatcher {
        let rule = HeaderRule::Value(StringMatcher::exact(value));
        HeaderMatcher::new(Name::new("x-role"), rule, invert, missing_as_empty, lines)
    }

    #[test]
    fn repeated_lines_are_joined_for_routes_and_single_for_authorization() {
        let both = head(&[("x-role", "user"), ("x-role", "admin")]);
        assert!(exact("user,admin", false, false, Lines::Joined).matches(&both));
        assert!(!exact("admin", false, false, Lines::Joined).matches(&both));
        assert!(exact("admin", false, false, Lines::Each).matches(&both));
        assert!(!exact("admin", true, false, Lines::Each).matches(&both));
    }

    #[test]
    fn a_missing_header_matches_no_value_even_inverted() {
        let none = head(&[]);
        assert!(!exact("a", false, false, Lines::Joined).matches(&none));
        assert!(!exact("a", true, false, Lines::Joined).matches(&none));
        assert!(exact("a", true, true, Lines::Joined).matches(&none));
        assert!(exact("", false, true, Lines::Joined).matches(&none));
    }

    #[test]
    fn presence_and_range() {
        let with =
            |rule, invert| HeaderMatcher::new(Name::new("x-n"), rule, invert, false, Lines::Joined);
        let (none, nine) = (head(&[]), head(&[("x-n", "9")]));
        for (expected, invert) in [(true, false), (false, true)] {
            assert!(with(HeaderRule::Present(expected), invert).matches(&nine));
            assert!(!with(HeaderRule::Present(expected), invert).matches(&none));
        }
        assert!(with(HeaderRule::Present(false), false).matches(&none));
        assert!(with(HeaderRule::Range(-10..10), false).matches(&nine));
        assert!(!with(HeaderRule::Range(0..9), false).matches(&nine));
        assert!(!with(HeaderRule::Range(0..9), false).matches(&head(&[("x-n", "5x")])));
    }

    #[test]
    fn a_value_that_is_not_utf8_is_denied_by_an_inverted_regex() {
        use super::super::{Regex, StringRule};
        let rule = StringRule::Regex(Regex::new("[a-z]+").unwrap());
        let rule = HeaderRule::Value(StringMatcher::new(rule, false));
        let matcher = HeaderMatcher::new(Name::new("x-neg"), rule, true, false, Lines::Each);
        let mut head = head(&[]);
        head.headers.append(b"x-neg", b"\xff");
        assert!(matcher.matches(&head));
    }
}
