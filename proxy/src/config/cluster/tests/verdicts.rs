//! What is refused of clusters, where, and why, in `verdicts.txt`. The form is described in `config::verdict_table`, places in `snippet`.

use super::snippet::Snippet;
use crate::config::verdict_table::VerdictTable;

const TABLE: VerdictTable = VerdictTable {
    text: include_str!("verdicts.txt"),
    least: 250,
    verdict: |kind, text| (Snippet::new(kind, text).refusal(), Vec::new()),
    bootstrap: |kind, text| Snippet::new(kind, text).bootstrap(),
    taken: &[],
};

#[test]
fn each_snippet_is_taken_or_refused_at_its_place_and_for_its_reason() {
    TABLE.holds();
}

#[test]
fn nothing_is_taken_that_envoy_refuses() {
    TABLE.is_as_strict_as_envoy();
}

/// `ENVOY=/path/to/envoy cargo test -- --ignored`
#[test]
#[ignore = "needs Envoy 1.40"]
fn envoy_says_what_the_table_says() {
    TABLE.is_what_envoy_says();
}
