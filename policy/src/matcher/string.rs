//! A test of one byte string. (envoy: type.matcher.v3.StringMatcher)

use super::regex::Regex;

/// What the value must look like.
#[derive(Clone, Debug)]
pub enum StringRule {
    /// Equal to this.
    Exact(Box<[u8]>),
    /// Starts with this.
    Prefix(Box<[u8]>),
    /// Ends with this.
    Suffix(Box<[u8]>),
    /// Holds this somewhere.
    Contains(Box<[u8]>),
    /// Matches all of this; never ignores case by itself.
    Regex(Regex),
}

/// A [`StringRule`], with or without regard to ASCII case.
#[derive(Clone, Debug)]
pub struct StringMatcher {
    rule: StringRule,
    ignore_case: bool,
}

impl StringMatcher {
    /// `ignore_case` has no effect on a regular expression.
    #[must_use]
    pub fn new(rule: StringRule, ignore_case: bool) -> Self {
        let lower =
            |text: Box<[u8]>| if ignore_case { text.to_ascii_lowercase().into() } else { text };
        let rule = match rule {
            StringRule::Exact(text) => StringRule::Exact(lower(text)),
            StringRule::Prefix(text) => StringRule::Prefix(lower(text)),
            StringRule::Suffix(text) => StringRule::Suffix(lower(text)),
            StringRule::Contains(text) => StringRule::Contains(lower(text)),
            regex @ StringRule::Regex(_) => regex,
        };
        Self { rule, ignore_case }
    }

    /// Equal to `text`, case and all.
    #[must_use]
    pub fn exact(text: &str) -> Self {
        Self::new(StringRule::Exact(text.as_bytes().into()), false)
    }

    /// The rule, for explanations.
    #[must_use]
    pub const fn rule(&self) -> &StringRule {
        &self.rule
    }

    /// True if the rule is a regular expression.
    #[must_use]
    pub const fn is_regex(&self) -> bool {
        matches!(self.rule, StringRule::Regex(_))
    }

    /// The one value that satisfies the rule, if there is only one.
    #[must_use]
    pub fn as_exact(&self) -> Option<&[u8]> {
        match &self.rule {
            StringRule::Exact(text) if !self.ignore_case => Some(text),
            _ => None,
        }
    }

    /// What every value that satisfies the rule begins with, if that is all that is asked of it.
    #[must_use]
    pub fn as_prefix(&self) -> Option<&[u8]> {
        match &self.rule {
            StringRule::Prefix(text) if !self.ignore_case => Some(text),
            _ => None,
        }
    }

    /// True if `value` satisfies the rule.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        let equal = |a: &[u8], b: &[u8]| {
            if self.ignore_case { a.eq_ignore_ascii_case(b) } else { a == b }
        };
        match &self.rule {
            StringRule::Exact(text) => equal(value, text),
            StringRule::Prefix(text) => value.get(..text.len()).is_some_and(|v| equal(v, text)),
            StringRule::Suffix(text) => {
                let start = value.len().checked_sub(text.len());
                start.and_then(|at| value.get(at..)).is_some_and(|v| equal(v, text))
            }
            StringRule::Contains(text) => {
                if self.ignore_case {
                    memchr::memmem::find(&value.to_ascii_lowercase(), text).is_some()
                } else {
                    memchr::memmem::find(value, text).is_some()
                }
            }
            StringRule::Regex(regex) => regex.is_full_match(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_with_and_without_case() {
        let new = |rule: fn(Box<[u8]>) -> StringRule, ignore| {
            StringMatcher::new(rule(b"Ab".as_slice().into()), ignore)
        };
        let rules: [fn(Box<[u8]>) -> StringRule; 4] =
            [StringRule::Exact, StringRule::Prefix, StringRule::Suffix, StringRule::Contains];
        let hits: [&[u8]; 4] = [b"Ab", b"Abc", b"xAb", b"xAbc"];
        for (rule, hit) in rules.into_iter().zip(hits) {
            assert!(new(rule, false).matches(hit));
            assert!(!new(rule, false).matches(&hit.to_ascii_lowercase()));
            assert!(new(rule, true).matches(&hit.to_ascii_uppercase()));
            assert!(!new(rule, true).matches(b"b"));
        }
    }
}
