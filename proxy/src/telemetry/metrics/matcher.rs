//! Which stats exist at all. (envoy: config.metrics.v3.StatsMatcher)
//!
//! Asked once for each stat when its family instance is made, and for a status code when it is listed;
//! never on the hot path.

use outrigger_policy::matcher::StringMatcher;

/// Codes that stand for all when it is asked whether any counter by status code would be visible.
const COMMON_CODES: [&str; 16] = [
    "200", "100", "201", "204", "301", "302", "304", "400", "401", "403", "404", "429", "500",
    "502", "503", "504",
];

/// What is let through.
#[derive(Clone, Debug, Default)]
pub enum StatsMatcher {
    /// Everything. (envoy: no matcher, or `reject_all: false`)
    #[default]
    All,
    /// Nothing. (envoy: `reject_all: true`)
    Nothing,
    /// What one of these matches. (envoy: `inclusion_list`)
    Only(Vec<StringMatcher>),
    /// What none of these matches. (envoy: `exclusion_list`)
    AllBut(Vec<StringMatcher>),
}

impl StatsMatcher {
    /// True if the stat with this full name exists.
    #[must_use]
    pub fn accepts(&self, name: &str) -> bool {
        let one_of = |list: &[StringMatcher]| list.iter().any(|one| one.matches(name.as_bytes()));
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Only(list) => one_of(list),
            Self::AllBut(list) => !one_of(list),
        }
    }

    /// True if there is nothing to ask.
    pub(super) fn accepts_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// True if one of the common codes behind `name` would be let through; `name` stays as it was.
    pub(super) fn accepts_some_code(&self, name: &mut String) -> bool {
        let length = name.len();
        COMMON_CODES.iter().any(|code| {
            name.push_str(code);
            let accepted = self.accepts(name);
            name.truncate(length);
            accepted
        })
    }
}

#[cfg(test)]
mod tests {
    use outrigger_policy::matcher::{Regex, StringRule};

    use super::*;

    #[test]
    fn lists_include_and_exclude() {
        let list = || {
            vec![
                StringMatcher::new(StringRule::Prefix(b"server".as_slice().into()), false),
                StringMatcher::new(StringRule::Suffix(b"rbac.denied".as_slice().into()), false),
                StringMatcher::new(
                    StringRule::Regex(Regex::new(r"vhost\..*\.route\..*").unwrap()),
                    false,
                ),
                StringMatcher::exact("a.upstream_rq_503"),
            ]
        };
        let only = StatsMatcher::Only(list());
        let but = StatsMatcher::AllBut(list());
        for (name, matched) in [
            ("server.live", true),
            ("http.x.rbac.denied", true),
            ("http.x.rbac.denied2", false),
            ("vhost.v.route.r.upstream_rq_total", true),
            ("x.vhost.v.route.r", false),
        ] {
            assert_eq!(only.accepts(name), matched, "{name}");
            assert_eq!(but.accepts(name), !matched, "{name}");
            assert!(StatsMatcher::All.accepts(name) && !StatsMatcher::Nothing.accepts(name));
        }
        let mut name = String::from("a.upstream_rq_");
        assert!(only.accepts_some_code(&mut name));
        assert_eq!(name, "a.upstream_rq_");
        assert!(!only.accepts_some_code(&mut String::from("b.upstream_rq_")));
    }
}
