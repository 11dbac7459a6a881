//! Random route tables and requests, compared between two proxies as parity cases are.
//!
//! What the hand-written cases do not think of: overlaps of domains, orders of routes, odd paths. A run
//! prints its seed; a difference is shrunk to a small table and request before it is shown.

mod action;
mod pairs;
mod request;
mod shrink;
mod table;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use anyhow::Result;

use crate::parity::compare::Verdict;
use crate::parity::run::{Outcome, Run};

pub use pairs::Difference;
pub use request::Request;
pub use table::Table;

/// Requests per table: enough that most of its routes are met.
const REQUESTS_PER_TABLE: usize = 50;
/// How many differences are shrunk; each takes some seconds.
const SHRUNK: usize = 3;

/// Compares `pairs` random pairs of a table and a request. Every pair is an outcome; a proxy that does
/// not start or dies is one too.
pub async fn run(run: &Run, seed: u64, pairs: usize) -> Vec<Outcome> {
    outcomes(run, seed, pairs).await.unwrap_or_else(|error| {
        let verdict = Verdict::Different(format!("{error:#}\n"));
        vec![Outcome { title: format!("generated / seed {seed}"), verdict, page: Vec::new() }]
    })
}

async fn outcomes(run: &Run, seed: u64, pairs: usize) -> Result<Vec<Outcome>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut tables = Vec::new();
    for at in 0..pairs.div_ceil(REQUESTS_PER_TABLE) {
        let table = Table::random(&mut rng);
        let count = REQUESTS_PER_TABLE.min(pairs - at * REQUESTS_PER_TABLE);
        let requests: Vec<_> = (0..count).map(|_| Request::random(&mut rng)).collect();
        tables.push((table, requests));
    }
    let differences = pairs::compare(run, &tables).await?;
    let mut outcomes = Vec::new();
    for (table, requests) in tables.iter().enumerate().map(|(at, (_, requests))| (at, requests)) {
        for request in 0..requests.len() {
            let different = differences.iter().find(|d| d.table == table && d.request == request);
            let title = format!("generated / seed {seed} / table {table} / request {request}");
            let verdict = different.map_or(Verdict::Equal, |d| Verdict::Different(d.text.clone()));
            outcomes.push(Outcome { title, verdict, page: Vec::new() });
        }
    }
    for difference in differences.iter().take(SHRUNK) {
        let text = shrink::smallest(run, &tables, difference).await?;
        let title = format!("/ table {} / request {}", difference.table, difference.request);
        if let Some(outcome) = outcomes.iter_mut().find(|outcome| outcome.title.ends_with(&title)) {
            outcome.verdict = Verdict::Different(text);
        }
    }
    Ok(outcomes)
}

/// One of a list that is never empty.
fn one_of<T: Clone + Default>(rng: &mut StdRng, list: &[T]) -> T {
    list.choose(rng).cloned().unwrap_or_default()
}
