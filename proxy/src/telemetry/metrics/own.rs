//! Metrics that Envoy has not: panics, causes, refused configuration, what telemetry itself has lost.
//!
//! They go through the `metrics` facade, so that libraries that use it are exported as well. Only counters
//! and gauges: this recorder keeps every sample of a histogram until a scrape, and ours are in `cells`.
//! Handles are made here once and held; a name with labels is never looked up per request. What is
//! rendered follows Envoy's stats in `/stats/prometheus`.

use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use outrigger_policy::verdict::CauseCode;

use super::query::StatsQuery;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// The recorder and the handles of our own metrics.
pub struct Own {
    recorder: Arc<PrometheusRecorder>,
    rendered: PrometheusHandle,
    /// `outrigger_panics_total`: tasks that ended in a panic.
    pub panics: Counter,
    /// `outrigger_log_lines_dropped_total`: lines of access or own logs that found no room.
    pub log_lines_dropped: Counter,
    /// `outrigger_spans_dropped_total`: spans that found no room.
    pub spans_dropped: Counter,
    /// `outrigger_metrics_series`: living series with labels of traffic.
    pub series: Gauge,
    /// `outrigger_metrics_series_expired_total`: those dropped for being idle.
    pub series_expired: Counter,
    /// `outrigger_metrics_series_over_cap_total`: look-ups that ended in `other`.
    pub series_over_cap: Counter,
    causes: Box<[Counter]>,
}

static INSTALLED: OnceLock<Arc<Own>> = OnceLock::new();

/// Another recorder has been installed in this process.
#[derive(Debug, thiserror::Error)]
#[error("a metrics recorder is installed already")]
pub struct AlreadyInstalled;

impl Own {
    /// The process's own metrics; also takes what any code gives to the facade's macros.
    ///
    /// # Errors
    /// If a recorder has been installed before.
    pub fn install() -> Result<Arc<Self>, AlreadyInstalled> {
        let own = Self::detached();
        metrics::set_global_recorder(Arc::clone(&own.recorder)).map_err(|_| AlreadyInstalled)?;
        Ok(INSTALLED.get_or_init(|| Arc::new(own)).clone())
    }

    /// Those of this process, once they are [installed](Self::install).
    #[must_use]
    pub fn installed() -> Option<&'static Self> {
        INSTALLED.get().map(|own| &**own)
    }

    /// Metrics that only the holder sees, for tests.
    #[must_use]
    pub fn detached() -> Self {
        let recorder = Arc::new(PrometheusBuilder::new().build_recorder());
        let counter = |name| recorder.register_counter(&Key::from_static_name(name), &METADATA);
        let cause = |code: &CauseCode| {
            let label = Label::from_static_parts("cause", code.as_str());
            let key = Key::from_parts("outrigger_causes_total", vec![label]);
            recorder.register_counter(&key, &METADATA)
        };
        let series = Key::from_static_name("outrigger_metrics_series");
        Self {
            rendered: recorder.handle(),
            panics: counter("outrigger_panics_total"),
            log_lines_dropped: counter("outrigger_log_lines_dropped_total"),
            spans_dropped: counter("outrigger_spans_dropped_total"),
            series: recorder.register_gauge(&series, &METADATA),
            series_expired: counter("outrigger_metrics_series_expired_total"),
            series_over_cap: counter("outrigger_metrics_series_over_cap_total"),
            causes: CauseCode::ALL.iter().map(cause).collect(),
            recorder,
        }
    }

    /// `outrigger_causes_total{cause="…"}`: failed requests by cause.
    pub fn cause(&self, code: CauseCode) {
        if let Some(counter) = self.causes.get(code as usize) {
            counter.increment(1);
        }
    }

    /// `outrigger_config_refused_total{resource="…"}` of one type of resource.
    pub fn config_refused(&self, resource: &'static str) -> Counter {
        let label = Label::from_static_parts("resource", resource);
        let key = Key::from_parts("outrigger_config_refused_total", vec![label]);
        self.recorder.register_counter(&key, &METADATA)
    }

    /// Those that `query` asks for, in the exposition format, to follow what `write_prometheus` writes.
    #[must_use]
    pub fn text(&self, query: &StatsQuery) -> String {
        let rendered = self.rendered.render();
        let mut text = String::with_capacity(rendered.len());
        // Families are apart by an empty line, and begin with their type.
        for family in rendered.split("\n\n") {
            let name = family.split(' ').nth(2).unwrap_or_default();
            let is_asked =
                query.filter.as_ref().is_none_or(|f| f.is_match(name) != query.invert_filter);
            let is_used = family.lines().any(|l| !l.starts_with('#') && !l.ends_with(" 0"));
            if is_asked && (is_used || !query.used_only) && !family.is_empty() {
                text.push_str(family);
                text.push_str("\n\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_exposed() {
        let own = Own::detached();
        own.panics.increment(1);
        own.cause(CauseCode::NoRoute);
        own.cause(CauseCode::NoRoute);
        let refused = own.config_refused("cluster");
        refused.increment(3);
        let text = own.text(&StatsQuery::default());
        for line in [
            "# TYPE outrigger_panics_total counter",
            "outrigger_panics_total 1",
            "outrigger_causes_total{cause=\"no_route\"} 2",
            "outrigger_causes_total{cause=\"internal\"} 0",
            "outrigger_config_refused_total{resource=\"cluster\"} 3",
            "outrigger_metrics_series 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("# HELP"));
        let used = StatsQuery { used_only: true, ..StatsQuery::default() };
        assert!(!own.text(&used).contains("outrigger_metrics_series"));
        assert!(own.text(&used).contains("outrigger_panics_total 1"));
    }

    #[test]
    fn every_cause_has_its_own_counter() {
        let own = Own::detached();
        for code in CauseCode::ALL {
            own.cause(*code);
        }
        let text = own.text(&StatsQuery::default());
        for code in CauseCode::ALL {
            let line = format!("outrigger_causes_total{{cause=\"{}\"}} 1", code.as_str());
            assert!(text.contains(&line), "{line}");
        }
    }

    #[test]
    fn only_one_recorder_can_be_installed() {
        let own = Own::install().unwrap();
        metrics::counter!("outrigger_test_total").increment(1);
        assert!(own.text(&StatsQuery::default()).contains("outrigger_test_total 1"));
        assert!(Own::install().is_err());
    }
}
