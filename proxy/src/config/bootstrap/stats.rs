//! (envoy: config.metrics.v3.StatsConfig)

use outrigger_policy::matcher::StringMatcher;
use outrigger_xds_api::envoy::config::metrics::v3::tag_specifier::TagValue as TagKind;
use outrigger_xds_api::envoy::config::metrics::v3::{
    HistogramBucketSettings, StatsConfig, StatsMatcher as MatcherMessage, TagSpecifier,
    stats_matcher,
};
use outrigger_xds_api::envoy::r#type::matcher::v3::ListStringMatcher;

use crate::config::common::{Translated, bool_or, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;
use crate::telemetry::metrics::{StatsMatcher, StatsSpec, TagSpec, TagValue};

pub(super) fn stats(message: StatsConfig, at: &At<'_>, cx: &Cx<'_>) -> Translated<StatsSpec> {
    fields!(cx, at, message => StatsConfig {
        used: stats_tags, use_all_default_tags, stats_matcher, histogram_bucket_settings;
        ignored: allow_default_tag_overrides = "a tag of the file always goes before a default of its name";
    });
    let mut histogram_bounds = Vec::with_capacity(histogram_bucket_settings.len());
    let at_settings = at.field("histogram_bucket_settings");
    for (index, message) in histogram_bucket_settings.into_iter().enumerate() {
        let at = at_settings.index(index);
        fields!(cx, at, message => HistogramBucketSettings {
            used: r#match, buckets;
            ignored: bins = "a histogram has buckets only";
        });
        let at_match = at.field("match");
        let matcher = matcher::string(required(r#match, &at_match)?, &at_match, cx)?;
        histogram_bounds.push((matcher, buckets));
    }
    Ok(StatsSpec {
        use_default_tags: bool_or(use_all_default_tags, true),
        tags: stats_tags
            .into_iter()
            .enumerate()
            .map(|(index, message)| tag(message, &at.field("stats_tags").index(index), cx))
            .collect::<Result<_, _>>()?,
        matcher: match stats_matcher {
            Some(message) => self::stats_matcher(message, &at.field("stats_matcher"), cx)?,
            None => StatsMatcher::All,
        },
        histogram_bounds,
    })
}

fn tag(message: TagSpecifier, at: &At<'_>, cx: &Cx<'_>) -> Translated<TagSpec> {
    fields!(cx, at, message => TagSpecifier { used: tag_name, tag_value; });
    let value = match tag_value {
        Some(TagKind::Regex(regex)) if !regex.is_empty() => TagValue::Regex(regex),
        Some(TagKind::FixedValue(value)) => TagValue::Fixed(value),
        Some(TagKind::Regex(_)) | None => TagValue::Default,
    };
    Ok(TagSpec { name: tag_name, value })
}

fn stats_matcher(message: MatcherMessage, at: &At<'_>, cx: &Cx<'_>) -> Translated<StatsMatcher> {
    fields!(cx, at, message => MatcherMessage { used: stats_matcher; });
    Ok(match required(stats_matcher, at)? {
        stats_matcher::StatsMatcher::RejectAll(true) => StatsMatcher::Nothing,
        stats_matcher::StatsMatcher::RejectAll(false) => StatsMatcher::All,
        stats_matcher::StatsMatcher::ExclusionList(list) => {
            StatsMatcher::AllBut(strings(list, &at.field("exclusion_list"), cx)?)
        }
        stats_matcher::StatsMatcher::InclusionList(list) => {
            StatsMatcher::Only(strings(list, &at.field("inclusion_list"), cx)?)
        }
    })
}

fn strings(message: ListStringMatcher, at: &At<'_>, cx: &Cx<'_>) -> Translated<Vec<StringMatcher>> {
    fields!(cx, at, message => ListStringMatcher { used: patterns; });
    let at = at.field("patterns");
    if patterns.is_empty() {
        return Err(at.error("must not be empty"));
    }
    let each = |(index, message)| matcher::string(message, &at.index(index), cx);
    patterns.into_iter().enumerate().map(each).collect()
}
