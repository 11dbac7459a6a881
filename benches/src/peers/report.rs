//! What is printed of a comparison: a table for people, a document for programs, one line for both.

use serde_json::{Value, json};

use super::compare::Compared;
use super::round::Measured;
use super::row::Work;

/// Where a table stands in a page that has more than the table.
const BEGIN: &str = "<!-- bench-peers -->";
const END: &str = "<!-- /bench-peers -->";

/// What a table says about where it comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    pub date: String,
    pub core: String,
    pub command: String,
    pub rounds: usize,
    pub seconds: u64,
}

/// The table, with its origin below.
#[must_use]
pub fn markdown(all: &[Compared], origin: &Origin) -> String {
    let mut text = String::from(
        "| row | rate | Envoy | Outrigger | ratio | of rounds | p50 | p99 | PSS idle | PSS loaded |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for compared in all {
        text += &line(compared);
        text.push('\n');
    }
    text += &format!(
        "\n{}, {}; {} rounds of {} s; p50 and p99 in us from when a request was due (of h2 from when h2load sent it), PSS in MiB, Envoy / Outrigger. `{}`\n",
        origin.date, origin.core, origin.rounds, origin.seconds, origin.command
    );
    text
}

fn line(compared: &Compared) -> String {
    let row = &compared.row;
    if let Err(error) = &compared.rounds {
        return format!("| {} | failed: {} |", row.name, format!("{error:#}").replace('\n', " "));
    }
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let pair = |value: fn(&Measured) -> Option<f64>, digits| {
        compared.medians(value).map(|side| number(side, digits)).join(" / ")
    };
    let costs = compared.medians(|measured| Some(measured.cost_us));
    let [left, right] = costs.map(|cost| match row.work {
        Work::Bytes => format!("{} Gbit/CPU s", number(cost.map(|us| 1e6 / us), 1)),
        _ => format!("{} us", number(cost, 1)),
    });
    let rate = if row.rate == 0 { "-".to_owned() } else { format!("{}/s", row.rate) };
    let ratio = compared.ratio();
    format!(
        "| {} | {rate} | {left} | {right} | **{}** | {}-{} | {} | {} | {} | {} |",
        row.name,
        number(ratio.map(|ratio| ratio.median), 2),
        number(ratio.map(|ratio| ratio.least), 2),
        number(ratio.map(|ratio| ratio.most), 2),
        pair(|measured| measured.p50_us, 0),
        pair(|measured| measured.p99_us, 0),
        pair(|measured| Some(measured.idle_pss_kib as f64 / 1024.0), 1),
        pair(|measured| Some(measured.loaded_pss_kib as f64 / 1024.0), 1),
    )
}

/// The page with this table between its marks; without marks the page is the table.
#[must_use]
pub fn placed(page: &str, table: &str) -> String {
    let Some((before, rest)) = page.split_once(BEGIN) else { return table.to_owned() };
    let after = rest.split_once(END).map_or(rest, |(_, after)| after);
    format!("{before}{BEGIN}\n{table}{END}{after}")
}

/// All rounds of all rows.
#[must_use]
pub fn document(all: &[Compared], origin: &Origin) -> Value {
    let side = |measured: &Measured| {
        json!({
            "cpu_us_per_unit": measured.cost_us,
            "rate": measured.rate,
            "p50_us": measured.p50_us,
            "p99_us": measured.p99_us,
            "idle_pss_kib": measured.idle_pss_kib,
            "loaded_pss_kib": measured.loaded_pss_kib,
        })
    };
    let row = |compared: &Compared| {
        let rounds = compared.rounds.as_deref().unwrap_or_default();
        json!({
            "row": compared.row.name,
            "unit": if compared.row.work == Work::Bytes { "Gbit" } else { "request" },
            "wanted_rate": compared.row.rate,
            "ratio": compared.ratio().map(|ratio| ratio.median),
            "least": compared.ratio().map(|ratio| ratio.least),
            "most": compared.ratio().map(|ratio| ratio.most),
            "error": compared.rounds.as_ref().err().map(|error| format!("{error:#}")),
            "rounds": rounds.iter().map(|(left, right)| json!([side(left), side(right)])).collect::<Vec<_>>(),
        })
    };
    json!({
        "date": origin.date,
        "core": origin.core,
        "command": origin.command,
        "seconds": origin.seconds,
        "rows": all.iter().map(row).collect::<Vec<_>>(),
    })
}

/// One line on all of it, and whether every row passed and stayed below `limit`.
#[must_use]
pub fn verdict(all: &[Compared], limit: Option<f64>) -> (String, bool) {
    let mut parts = Vec::new();
    let mut passes = true;
    for compared in all {
        let name = compared.row.name;
        match compared.ratio() {
            None => parts.push(format!("{name} failed")),
            Some(ratio) if limit.is_some_and(|limit| ratio.median > limit) => {
                parts.push(format!("{name} {:.2} above the limit", ratio.median));
            }
            Some(ratio) => {
                parts.push(format!("{name} {:.2}", ratio.median));
                continue;
            }
        }
        passes = false;
    }
    let word = if passes { "ok" } else { "FAILED" };
    (format!("bench-peers: {word}: {}", parts.join(", ")), passes)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::peers::row::ROWS;

    fn measured(cost_us: f64) -> Measured {
        Measured {
            cost_us,
            rate: 6000.0,
            p50_us: Some(200.0),
            p99_us: Some(900.0),
            idle_pss_kib: 2048,
            loaded_pss_kib: 4096,
        }
    }

    fn compared(name: &str, rounds: &[(f64, f64)]) -> Compared {
        let row = *ROWS.iter().find(|row| row.name == name).unwrap();
        let rounds = rounds.iter().map(|(left, right)| (measured(*left), measured(*right)));
        Compared { row, rounds: Ok(rounds.collect()) }
    }

    fn failed() -> Compared {
        Compared { rounds: Err(anyhow!("status 503\nand more")), ..compared("h2", &[]) }
    }

    fn origin() -> Origin {
        let [date, core, command] = ["today", "a core", "bench-peers"].map(str::to_owned);
        Origin { date, core, command, rounds: 2, seconds: 5 }
    }

    #[test]
    fn a_line_has_the_figures_of_both_sides_and_bytes_are_told_as_gbit() {
        let all = [compared("h1-128", &[(100.0, 25.0), (120.0, 36.0)]), failed()];
        let text = markdown(&all, &origin());
        let wanted = "| h1-128 | 6000/s | 110.0 us | 30.5 us | **0.28** | 0.25-0.30 | 200 / 200 | 900 / 900 | 2.0 / 2.0 | 4.0 / 4.0 |\n";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("| h2 | failed: status 503 and more |\n"), "{text}");
        assert!(text.contains("today, a core; 2 rounds of 5 s"), "{text}");
        let bytes = line(&compared("tcp", &[(100_000.0, 25_000.0)]));
        assert!(bytes.contains("| 10.0 Gbit/CPU s | 40.0 Gbit/CPU s | **0.25** |"), "{bytes}");
    }

    #[test]
    fn a_table_goes_between_the_marks_of_a_page_and_nowhere_else() {
        let page = placed("a\n<!-- bench-peers -->\n\nb\n", "new\n");
        assert_eq!(page, "a\n<!-- bench-peers -->\nnew\n<!-- /bench-peers -->\n\nb\n");
        assert_eq!(placed(&page, "newer\n"), page.replace("new\n", "newer\n"));
        assert_eq!(placed("an old table", "new\n"), "new\n");
    }

    #[test]
    fn a_row_that_failed_or_is_above_the_limit_fails_the_whole() {
        let fine = || compared("h1-128", &[(100.0, 30.0)]);
        assert_eq!(verdict(&[fine()], None), ("bench-peers: ok: h1-128 0.30".to_owned(), true));
        assert!(verdict(&[fine()], Some(0.3)).1);
        assert!(!verdict(&[fine()], Some(0.29)).1);
        let (line, passes) = verdict(&[fine(), failed()], None);
        assert_eq!(line, "bench-peers: FAILED: h1-128 0.30, h2 failed");
        assert!(!passes);
    }

    #[test]
    fn the_document_keeps_every_round_and_the_error() {
        let all = [compared("h1-128", &[(100.0, 25.0), (120.0, 36.0)]), failed()];
        let found = document(&all, &origin());
        assert_eq!(found["rows"][0]["rounds"][1][1]["cpu_us_per_unit"], 36.0);
        assert_eq!(found["rows"][1]["error"], "status 503\nand more");
        assert!(found["rows"][1]["ratio"].is_null());
    }
}
