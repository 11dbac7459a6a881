//! What a request for stats asks for. (envoy admin: /stats, /stats/prometheus)
//!
//! The admin server hands over the decoded pairs of the query; a parameter counts by being there
//! (`usedonly=false` is `usedonly`), as in Envoy. Unknown ones are ignored.

use regex::{Regex, RegexBuilder};

/// Bytes of compiled program that a filter may take.
const PROGRAM_LIMIT: usize = 1 << 20;

/// A request for stats.
#[derive(Clone, Debug, Default)]
pub struct StatsQuery {
    /// Only stats that were written since the start. (`usedonly`)
    pub used_only: bool,
    /// Only stats whose full name holds a match. (`filter`)
    pub filter: Option<Regex>,
    /// Only those that do not. (`invert_filter`)
    pub invert_filter: bool,
    /// Only stats of this type. (`type`)
    pub kind: StatKind,
    /// How histograms are shown. (`histogram_buckets`)
    pub buckets: BucketMode,
    /// The form of the answer. (`format`, `prometheus`)
    pub format: StatsFormat,
    /// Prometheus: text readouts as gauges. (`text_readouts`)
    pub text_readouts: bool,
}

/// Types of stats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatKind {
    /// Every type.
    #[default]
    All,
    /// Counters.
    Counters,
    /// Gauges.
    Gauges,
    /// Histograms.
    Histograms,
    /// Text readouts.
    TextReadouts,
}

/// How histograms are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BucketMode {
    /// Quantiles in text, cumulative buckets in Prometheus.
    #[default]
    Unset,
    /// Quantiles. (`summary`, `none`)
    Summary,
    /// Each bucket with all below it.
    Cumulative,
    /// Each bucket alone.
    Disjoint,
    /// Buckets that hold samples, and quantiles.
    Detailed,
}

/// Forms of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatsFormat {
    /// `name: value`.
    #[default]
    Text,
    /// JSON.
    Json,
    /// The exposition format.
    Prometheus,
}

/// Why a request is answered with 400; the text is the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// An unknown `type`.
    #[error("invalid &type= param")]
    Kind,
    /// An unknown `histogram_buckets`.
    #[error("usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)\n")]
    Buckets,
    /// A mode that the exposition format cannot show.
    #[error("unsupported prometheus histogram bucket mode")]
    PrometheusBuckets,
    /// A `filter` that does not compile.
    #[error("Invalid re2 regex: {0}")]
    Filter(String),
    /// A form that we do not have.
    #[error("format={0} is not supported: one of text, json, prometheus")]
    Format(String),
}

impl StatsQuery {
    /// A query of decoded `pairs`; `prometheus` if the path already says so.
    ///
    /// # Errors
    /// If a value is not understood.
    pub fn parse<'a>(
        prometheus: bool,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, QueryError> {
        let mut query = Self::default();
        for (name, value) in pairs {
            match name {
                "usedonly" => query.used_only = true,
                "invert_filter" => query.invert_filter = true,
                "text_readouts" => query.text_readouts = true,
                "filter" if !value.is_empty() => query.filter = Some(filter(value)?),
                "type" => query.kind = kind(value)?,
                "histogram_buckets" => query.buckets = buckets(value)?,
                "format" => query.format = format(value)?,
                _ => {}
            }
        }
        if prometheus {
            query.format = StatsFormat::Prometheus;
        }
        let shown = !matches!(query.buckets, BucketMode::Disjoint | BucketMode::Detailed);
        if query.format == StatsFormat::Prometheus && !shown {
            return Err(QueryError::PrometheusBuckets);
        }
        Ok(query)
    }

    /// True if a stat of this name is asked for.
    pub(super) fn admits(&self, name: &str, used: bool) -> bool {
        let found = self.filter.as_ref().is_none_or(|filter| filter.is_match(name));
        let inverted = self.invert_filter && self.filter.is_some();
        (used || !self.used_only) && found != inverted
    }

    /// True if stats of `kind` are asked for.
    pub(super) fn wants(&self, kind: StatKind) -> bool {
        self.kind == StatKind::All || self.kind == kind
    }
}

fn filter(pattern: &str) -> Result<Regex, QueryError> {
    let compiled = RegexBuilder::new(pattern).size_limit(PROGRAM_LIMIT).build();
    compiled.map_err(|error| QueryError::Filter(error.to_string()))
}

fn kind(value: &str) -> Result<StatKind, QueryError> {
    Ok(match value {
        "" | "All" => StatKind::All,
        "Counters" => StatKind::Counters,
        "Gauges" => StatKind::Gauges,
        "Histograms" => StatKind::Histograms,
        "TextReadouts" => StatKind::TextReadouts,
        _ => return Err(QueryError::Kind),
    })
}

fn buckets(value: &str) -> Result<BucketMode, QueryError> {
    Ok(match value {
        "" => BucketMode::Unset,
        "summary" | "none" => BucketMode::Summary,
        "cumulative" => BucketMode::Cumulative,
        "disjoint" => BucketMode::Disjoint,
        "detailed" => BucketMode::Detailed,
        _ => return Err(QueryError::Buckets),
    })
}

/// An unknown form is text, as in Envoy; its pages of HTML we do not have, and say so.
fn format(value: &str) -> Result<StatsFormat, QueryError> {
    Ok(match value {
        "json" => StatsFormat::Json,
        "prometheus" => StatsFormat::Prometheus,
        "html" | "active-html" => return Err(QueryError::Format(value.to_owned())),
        _ => StatsFormat::Text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_count_by_being_there() {
        let pairs = [("usedonly", "false"), ("format", "json"), ("x", "y"), ("filter", "")];
        let query = StatsQuery::parse(false, pairs).unwrap();
        assert!(query.used_only && query.filter.is_none());
        assert_eq!(query.format, StatsFormat::Json);
        assert_eq!(StatsQuery::parse(true, pairs).unwrap().format, StatsFormat::Prometheus);
    }

    #[test]
    fn a_filter_searches_and_may_be_inverted() {
        let pairs = [("filter", r"^server\.(live|state)")];
        let query = StatsQuery::parse(false, pairs).unwrap();
        assert!(query.admits("server.live", false) && !query.admits("a.server.live", true));
        let inverted = pairs.into_iter().chain([("invert_filter", ""), ("usedonly", "")]);
        let query = StatsQuery::parse(false, inverted).unwrap();
        assert!(!query.admits("server.live", true));
        assert!(query.admits("a", true) && !query.admits("a", false));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (prometheus, name, value, error) in [
            (false, "type", "gauges", QueryError::Kind),
            (false, "histogram_buckets", "prometheusnative", QueryError::Buckets),
            (true, "histogram_buckets", "disjoint", QueryError::PrometheusBuckets),
            (false, "format", "html", QueryError::Format("html".into())),
        ] {
            assert_eq!(StatsQuery::parse(prometheus, [(name, value)]).unwrap_err(), error);
        }
        let error = StatsQuery::parse(false, [("filter", "[")]).unwrap_err();
        assert!(error.to_string().starts_with("Invalid re2 regex: "), "{error}");
    }
}
