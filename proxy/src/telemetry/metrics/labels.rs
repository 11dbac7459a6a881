//! What Prometheus sees of a stat: its name without tags, and its labels, ready to be printed.
//!
//! Taking a name apart costs microseconds, so an instance remembers the outcome. Most stats of a scope come
//! apart alike (cut out the cluster's name, one label), so what is remembered is a few [`Class`]es and
//! a number for each stat. Names are not remembered: they are cut anew at each scrape.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::read::Part;
use super::scope::Scope;
use super::tags::{TagRules, push_cut};

/// A custom namespace: its stats are exposed without `envoy_`. (envoy: CustomStatNamespaces, istio_stats)
const CUSTOM_NAMESPACE: &[u8] = b"istiocustom";

/// How one name comes apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// `a="b",c="d"`, sanitized and escaped.
    pub(super) labels: Box<str>,
    /// What is not part of the name, ascending and apart.
    cuts: SmallVec<[Range<usize>; 2]>,
}

/// What an instance remembers.
#[derive(Default)]
pub(super) struct TagCache {
    classes: Vec<Arc<Class>>,
    /// Ascending by stat and part.
    known: Vec<(u16, Part, u16)>,
}

impl TagCache {
    /// The class of a part of a stat, whose full name is `name`.
    pub(super) fn class(
        &mut self,
        rules: &TagRules,
        scope: &Scope,
        (stat, part): (u16, Part),
        name: &str,
    ) -> Arc<Class> {
        let key = |known: &(u16, Part, u16)| (known.0, known.1);
        let number = match self.known.binary_search_by_key(&(stat, part), key) {
            Ok(found) => self.known.get(found).map_or(u16::MAX, |known| known.2),
            Err(place) => {
                let number = self.number(Class::of(rules, scope, name));
                self.known.insert(place, (stat, part, number));
                number
            }
        };
        let class = self.classes.get(usize::from(number));
        class.map_or_else(|| Arc::new(Class::of(rules, scope, name)), Arc::clone)
    }

    /// The number of `class` among those that are remembered.
    fn number(&mut self, class: Class) -> u16 {
        let same = self.classes.iter().position(|known| **known == class);
        let number = same.unwrap_or_else(|| {
            self.classes.push(Arc::new(class));
            self.classes.len() - 1
        });
        u16::try_from(number).unwrap_or(u16::MAX)
    }
}

impl Class {
    /// Takes `name` apart.
    pub(super) fn of(rules: &TagRules, scope: &Scope, name: &str) -> Self {
        let mut labels = String::new();
        if scope.labels.is_empty() {
            let tagged = rules.extract(name);
            for (tag, value) in &tagged.tags {
                push_label(tag, value, &mut labels);
            }
            return Self { labels: labels.into(), cuts: tagged.cuts };
        }
        for (tag, value) in &scope.labels {
            push_label(tag, value, &mut labels);
        }
        for (tag, value) in rules.fixed() {
            if !scope.labels.iter().any(|(own, _)| **own == *tag) {
                push_label(tag, value, &mut labels);
            }
        }
        let suffix = name.len().saturating_sub(scope.suffix.len())..name.len();
        Self { labels: labels.into(), cuts: SmallVec::from_iter([suffix]) }
    }

    /// `name` without its tags, in place of what `out` held, in bytes whose order is Envoy's.
    pub(super) fn cut_name(&self, name: &str, out: &mut Vec<u8>) {
        out.clear();
        push_cut(name, &self.cuts, out);
        // What was cut out at the end may leave the dot before it.
        while out.last() == Some(&b'.') {
            out.pop();
        }
        for byte in out {
            *byte = dot_least(*byte);
        }
    }
}

/// Envoy compares names word by word. The order of bytes is the same if the dot is the least of them, which
/// it becomes by changing places with NUL.
pub(super) const fn dot_least(byte: u8) -> u8 {
    match byte {
        b'.' => 0,
        0 => b'.',
        byte => byte,
    }
}

/// The exposed name of a family of series, from what `cut_name` gives; `None` if there is none that
/// the format allows. (envoy: PrometheusStats::metricName)
pub(super) fn metric_name(cut: &[u8]) -> Option<String> {
    let custom = cut.strip_prefix(CUSTOM_NAMESPACE).and_then(|rest| rest.strip_prefix(b"\0"));
    let (prefix, name) = custom.map_or(("envoy_", cut), |name| ("", name));
    if prefix.is_empty() && name.first().is_none_or(u8::is_ascii_digit) {
        return None;
    }
    let mut metric = prefix.to_owned();
    push_sanitized(name, &mut metric);
    Some(metric)
}

/// Adds `name="value"`, after a comma unless it is the first.
pub(super) fn push_label(name: &str, value: &str, labels: &mut String) {
    if !labels.is_empty() {
        labels.push(',');
    }
    push_sanitized(name.as_bytes(), labels);
    labels.push_str("=\"");
    for char in value.chars() {
        match char {
            '\\' => labels.push_str("\\\\"),
            '"' => labels.push_str("\\\""),
            '\n' => labels.push_str("\\n"),
            char => labels.push(char),
        }
    }
    labels.push('"');
}

/// Each byte that a name may not hold becomes `_`.
fn push_sanitized(name: &[u8], out: &mut String) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    out.extend(name.iter().map(|byte| if allowed(*byte) { char::from(*byte) } else { '_' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_namespace_is_not_exposed() {
        assert_eq!(metric_name(b"istiocustom\0istio_build").unwrap(), "istio_build");
        assert_eq!(metric_name(b"istiocustom\x009x"), None);
        assert_eq!(metric_name(b"istiocustomer\0x").unwrap(), "envoy_istiocustomer_x");
        assert_eq!(metric_name("cluster\0é-x".as_bytes()).unwrap(), "envoy_cluster____x");
    }

    #[test]
    fn stats_that_come_apart_alike_share_a_class() {
        let rules = TagRules::compile(true, &[]).unwrap();
        let scope = Scope::new("cluster.a.");
        let mut cache = TagCache::default();
        for (stat, part, name) in [
            (0, Part::Whole, "cluster.a.x"),
            (1, Part::Whole, "cluster.a.y"),
            (2, Part::Code(200), "cluster.a.upstream_rq_200"),
            (0, Part::Whole, "never looked at again"),
        ] {
            cache.class(&rules, &scope, (stat, part), name);
        }
        assert_eq!((cache.classes.len(), cache.known.len()), (2, 3));
    }

    #[test]
    fn labels_of_a_series_come_first_and_fixed_tags_follow() {
        use crate::telemetry::metrics::{TagSpec, TagValue};
        let fixed = |name: &str| TagSpec { name: name.into(), value: TagValue::Fixed("f".into()) };
        let rules = TagRules::compile(true, &[fixed("mesh"), fixed("code")]).unwrap();
        let scope = Scope::labelled("istiocustom", &[("code".into(), ""), ("to".into(), "a\n")]);
        let mut name = String::new();
        scope.full_name("istio_requests_total", &mut name);
        let class = Class::of(&rules, &scope, &name);
        assert_eq!(&*class.labels, r#"code="",to="a\n",mesh="f""#);
        let mut cut = Vec::new();
        class.cut_name(&name, &mut cut);
        assert_eq!(metric_name(&cut).unwrap(), "istio_requests_total");
    }
}
