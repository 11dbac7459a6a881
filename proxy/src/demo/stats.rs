//! The stats of a proxy at one moment, as its admin server tells them.

use std::collections::HashMap;

/// Counters and gauges by their names.
#[derive(Debug, Default)]
pub(super) struct Stats(HashMap<String, u64>);

impl Stats {
    /// Reads what `/stats` says; histograms and texts are left out.
    pub(super) fn read(text: &str) -> Self {
        let line = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// One of them; 0 if it is not there, because what never happened may not be counted yet.
    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The sum of those whose name ends so.
    pub(super) fn ending(&self, suffix: &str) -> u64 {
        let ending = self.0.iter().filter(|(name, _)| name.ends_with(suffix));
        ending.map(|(_, value)| value).sum()
    }

    /// How much one of them grew since `before`.
    pub(super) fn growth(&self, before: &Self, name: &str) -> u64 {
        self.of(name).saturating_sub(before.of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_the_rest_is_left_out() {
        let stats = Stats::read(
            "cluster.a.upstream_rq_retry: 7\nlistener.x.ssl.handshake: 2\n\
             listener.y.ssl.handshake: 3\nserver.text: \"9\"\ncluster.a.time: P0(1,1)\n",
        );
        assert_eq!((stats.of("cluster.a.upstream_rq_retry"), stats.of("server.text")), (7, 0));
        assert_eq!(stats.ending(".ssl.handshake"), 5);
        assert_eq!(stats.growth(&Stats::default(), "cluster.a.upstream_rq_retry"), 7);
    }
}
