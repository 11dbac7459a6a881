//! Tags: which parts of a stat's name are not name but value, as `up` in `cluster.up.upstream_rq_total`.
//! (envoy: config.metrics.v3.StatsConfig.stats_tags, use_all_default_tags)
//!
//! Compiled once from the bootstrap; asked when a stat is first rendered for Prometheus, never on the
//! hot path. Each rule sees the whole name as it was; what all rules found is cut out together at the
//! end. Rules that name no first word come first, then those whose first word is the name's: that order
//! is the labels'. A tag that was found once is not looked for again.

mod defaults;
mod pattern;
mod regex;

#[cfg(test)]
pub(super) mod tests;

use std::ops::Range;

use smallvec::SmallVec;

use self::pattern::Pattern;
use self::regex::TagRegex;

/// One entry of `stats_tags`. (envoy: config.metrics.v3.TagSpecifier)
#[derive(Clone, Debug)]
pub struct TagSpec {
    /// The tag's name.
    pub name: String,
    /// Where its value comes from.
    pub value: TagValue,
}

/// Where a tag's value comes from.
#[derive(Clone, Debug)]
pub enum TagValue {
    /// Envoy's own rule for a tag of this name. (envoy: neither regex nor fixed_value, or an empty regex)
    Default,
    /// The second group is the value, the first is cut out of the name; with one group only it is both.
    Regex(String),
    /// Always this.
    Fixed(String),
}

/// Why the tags of a configuration are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A tag without a name.
    #[error("tag_name cannot be empty")]
    NoName,
    /// Neither a regex nor a default.
    #[error("No regex specified for tag specifier and no default regex for name: '{0}'")]
    NoDefault(String),
    /// A regex that does not compile.
    #[error("stats tag '{name}': the regex '{pattern}' is not supported: {reason}")]
    Regex {
        /// The tag.
        name: String,
        /// Its pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
}

/// Compiled tag rules.
#[derive(Debug, Default)]
pub(super) struct TagRules {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    tag: Box<str>,
    /// The first word of all names that can match, if the rule says so.
    first_word: Option<Box<str>>,
    finder: Finder,
}

#[derive(Debug)]
enum Finder {
    Pattern(Pattern),
    /// The regex, and a value that is no match after all.
    Regex(TagRegex, &'static str),
    Fixed(Box<str>),
}

/// What a rule found: the bytes to cut out and the bytes of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    cut: Range<usize>,
    value: Range<usize>,
}

/// A name taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tagged {
    /// Tags and values in the order of the labels.
    pub tags: Vec<(Box<str>, String)>,
    /// What is to be cut out of the name, ascending and apart.
    pub cuts: SmallVec<[Range<usize>; 2]>,
}

impl TagRules {
    /// Compiles Envoy's own rules, unless `use_defaults` is off, and those of the configuration.
    ///
    /// # Errors
    /// If a tag has no name, no rule, or a regex that does not compile.
    pub(super) fn compile(use_defaults: bool, specs: &[TagSpec]) -> Result<Self, TagError> {
        let mut rules = Self::default();
        if use_defaults {
            rules.add_defaults(|_| true)?;
        }
        for TagSpec { name, value } in specs {
            if name.is_empty() {
                return Err(TagError::NoName);
            }
            match value {
                TagValue::Fixed(value) => rules.rules.push(Rule {
                    tag: name.as_str().into(),
                    first_word: None,
                    finder: Finder::Fixed(value.as_str().into()),
                }),
                TagValue::Regex(pattern) if !pattern.is_empty() => {
                    rules.add_regex(name, pattern, "")?;
                }
                TagValue::Default | TagValue::Regex(_) => {
                    if rules.add_defaults(|tag| tag == name)? == 0 {
                        return Err(TagError::NoDefault(name.clone()));
                    }
                }
            }
        }
        // Stable: within each half the order of the configuration stays.
        rules.rules.sort_by_key(|rule| rule.first_word.is_some());
        Ok(rules)
    }

    fn add_regex(&mut self, tag: &str, pattern: &str, not: &'static str) -> Result<(), TagError> {
        let regex = TagRegex::compile(pattern).map_err(|reason| TagError::Regex {
            name: tag.to_owned(),
            pattern: pattern.to_owned(),
            reason,
        })?;
        self.rules.push(Rule {
            tag: tag.into(),
            first_word: regex::first_word(pattern).map(Into::into),
            finder: Finder::Regex(regex, not),
        });
        Ok(())
    }

    /// Adds the default rules of the tags that `wanted` wants, and says how many there were.
    fn add_defaults(&mut self, wanted: impl Fn(&str) -> bool) -> Result<usize, TagError> {
        let before = self.rules.len();
        for (tag, pattern, not) in defaults::REGEXES.iter().filter(|(tag, ..)| wanted(tag)) {
            self.add_regex(tag, &defaults::expand(pattern), not)?;
        }
        for (tag, pattern) in defaults::PATTERNS.iter().filter(|(tag, _)| wanted(tag)) {
            let pattern = Pattern::new(pattern);
            self.rules.push(Rule {
                tag: (*tag).into(),
                first_word: pattern.first_word().map(Into::into),
                finder: Finder::Pattern(pattern),
            });
        }
        Ok(self.rules.len() - before)
    }

    /// Takes `name` apart.
    #[must_use]
    pub(super) fn extract(&self, name: &str) -> Tagged {
        let first_word = name.split_once('.').map(|(first, _)| first);
        let mut tagged = Tagged::default();
        let mut cuts: SmallVec<[Range<usize>; 4]> = SmallVec::new();
        for rule in &self.rules {
            if rule.first_word.is_some() && rule.first_word.as_deref() != first_word
                || tagged.tags.iter().any(|(tag, _)| *tag == rule.tag)
            {
                continue;
            }
            let found = match &rule.finder {
                Finder::Fixed(value) => {
                    tagged.tags.push((rule.tag.clone(), value.as_ref().to_owned()));
                    continue;
                }
                Finder::Pattern(pattern) => pattern.find(name),
                Finder::Regex(regex, not) => regex
                    .find(name)
                    .filter(|found| not.is_empty() || name.get(found.value.clone()) != Some(not)),
            };
            let Some(Found { cut, value }) = found else { continue };
            let value = name.as_bytes().get(value).unwrap_or_default();
            tagged.tags.push((rule.tag.clone(), String::from_utf8_lossy(value).into_owned()));
            cuts.push(cut);
        }
        tagged.cuts = merge(cuts);
        tagged
    }

    /// The tags that every stat has, for series that bring labels of their own.
    pub(super) fn fixed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules.iter().filter_map(|rule| match &rule.finder {
            Finder::Fixed(value) => Some((&*rule.tag, &**value)),
            _ => None,
        })
    }
}

/// Sorts ranges and joins those that overlap or touch.
fn merge(mut ranges: SmallVec<[Range<usize>; 4]>) -> SmallVec<[Range<usize>; 2]> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: SmallVec<[Range<usize>; 2]> = SmallVec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// `name` without what `cuts` cuts out, added to `out`.
pub(super) fn push_cut(name: &str, cuts: &[Range<usize>], out: &mut Vec<u8>) {
    let name = name.as_bytes();
    let mut from = 0;
    for cut in cuts {
        out.extend_from_slice(name.get(from..cut.start).unwrap_or_default());
        from = cut.end;
    }
    out.extend_from_slice(name.get(from..).unwrap_or_default());
}
