//! A test of one query parameter. (envoy: config.route.v3.QueryParameterMatcher)

use super::string::StringMatcher;

/// What the parameter must look like.
#[derive(Clone, Debug)]
pub enum QueryRule {
    /// Present or absent.
    Present(bool),
    /// The first value satisfies this.
    Value(StringMatcher),
}

/// A [`QueryRule`] for the parameter `name`.
#[derive(Clone, Debug)]
pub struct QueryMatcher {
    /// Compared byte for byte, without decoding.
    pub name: Box<str>,
    /// What is asked of it.
    pub rule: QueryRule,
}

impl QueryMatcher {
    /// True if the query string satisfies the rule.
    #[must_use]
    pub fn matches(&self, query: Option<&[u8]>) -> bool {
        let value = query.and_then(|query| parameter(query, self.name.as_bytes()));
        match &self.rule {
            QueryRule::Present(expected) => value.is_some() == *expected,
            QueryRule::Value(matcher) => value.is_some_and(|value| matcher.matches(value)),
        }
    }
}

/// The first value of `name` in a query string; empty for a parameter without `=`.
#[must_use]
pub fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|b| *b == b'&').find_map(|pair| {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        (pair.get(..end)? == name).then(|| pair.get(end + 1..).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_decides() {
        assert_eq!(parameter(b"a=1&b=2&a=3", b"a"), Some(b"1".as_slice()));
        assert_eq!(parameter(b"a&b=", b"a"), Some(b"".as_slice()));
        assert_eq!(parameter(b"ab=1", b"a"), None);
        let matcher = |rule| QueryMatcher { name: "a".into(), rule };
        assert!(matcher(QueryRule::Value(StringMatcher::exact("1"))).matches(Some(b"a=1")));
        assert!(!matcher(QueryRule::Value(StringMatcher::exact("1"))).matches(None));
        assert!(matcher(QueryRule::Present(true)).matches(Some(b"x&a")));
        assert!(matcher(QueryRule::Present(false)).matches(None));
    }
}
