//! Rounds: both proxies in turn, so that what changes on the machine changes for both.

use anyhow::{Context as _, Result};

use super::figure::{Ratio, median, ratio};
use super::peer::Peer;
use super::round::{Measured, Setting, measure};
use super::row::Row;

/// What came of a row.
#[derive(Debug)]
pub struct Compared {
    pub row: Row,
    pub rounds: Result<Vec<(Measured, Measured)>>,
}

impl Compared {
    /// What the right one costs; none if the row failed.
    #[must_use]
    pub fn ratio(&self) -> Option<Ratio> {
        let rounds = self.rounds.as_ref().ok()?;
        let costs: Vec<_> =
            rounds.iter().map(|(left, right)| (left.cost_us, right.cost_us)).collect();
        ratio(&costs)
    }

    /// The median over the rounds of one value of each side, `[left, right]`.
    #[must_use]
    pub fn medians(&self, value: impl Fn(&Measured) -> Option<f64>) -> [Option<f64>; 2] {
        let rounds = self.rounds.as_deref().unwrap_or_default();
        [
            median(rounds.iter().filter_map(|(left, _)| value(left))),
            median(rounds.iter().filter_map(|(_, right)| value(right))),
        ]
    }
}

/// Runs a row this many times; `progress` is told of each round.
pub async fn compare(
    setting: &Setting,
    [left, right]: [&Peer; 2],
    row: &Row,
    rounds: usize,
    progress: impl Fn(usize, &(Measured, Measured)),
) -> Compared {
    let all = async {
        let mut all = Vec::new();
        for index in 0..rounds {
            let of_left = async { measure(setting, left, row).await.context("the left one") };
            let of_right = async { measure(setting, right, row).await.context("the right one") };
            // Who is first changes: a machine that warms up or slows down would favour one.
            let round = if index % 2 == 0 {
                (of_left.await?, of_right.await?)
            } else {
                let of_right = of_right.await?;
                (of_left.await?, of_right)
            };
            progress(index, &round);
            all.push(round);
        }
        Ok(all)
    };
    Compared { row: *row, rounds: all.await }
}
