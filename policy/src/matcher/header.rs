//! A test of the lines of one header. (envoy: config.route.v3.HeaderMatcher)
//!
//! Called by routes, authorization and faults. Each line of a repeated name is looked at by itself and
//! one is enough: a joined value would hide `x-role: admin` behind `x-role: user`. Names whose lines
//! Envoy joins before anyone looks (`accept`, `x-forwarded-for`) are the codec's to join, not ours.

use super::string::StringMatcher;
use crate::head::{Fields, Name};

#[cfg(test)]
mod tests;

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
}

impl HeaderMatcher {
    /// `invert` negates the result, but an absent header matches no value rule either way, unless
    /// `missing_as_empty` gives it the empty value.
    #[must_use]
    pub const fn new(name: Name, rule: HeaderRule, invert: bool, missing_as_empty: bool) -> Self {
        Self { name, rule, invert, missing_as_empty }
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

    /// True if the request or response satisfies the rule.
    #[must_use]
    pub fn matches(&self, head: &impl Fields) -> bool {
        let mut values = head.values(&self.name).peekable();
        if values.peek().is_some() {
            return values.any(|value| self.is_value(value)) != self.invert;
        }
        match self.rule {
            _ if self.missing_as_empty => self.is_value(b"") != self.invert,
            HeaderRule::Present(expected) => expected == self.invert,
            _ => false,
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
