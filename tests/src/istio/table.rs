//! The table of a run: check, Envoy, Outrigger.

use super::compare::{Row, Verdict};

/// One line for each row, and the differences below them.
pub fn table(worlds: &[String], rows: &[Row]) -> String {
    let name = |row: &Row| format!("{}: {}", row.group, row.check);
    let width = |cell: &str| cell.chars().count();
    let names = rows.iter().map(|row| width(&name(row))).max().unwrap_or(0);
    let columns: Vec<usize> = worlds
        .iter()
        .enumerate()
        .map(|(index, world)| {
            let cells = rows.iter().filter_map(|row| row.cells.get(index));
            cells.map(|cell| width(cell)).chain([width(world)]).max().unwrap_or(0)
        })
        .collect();
    let line = |first: &str, cells: &[String]| {
        let mut line = format!("{first:<names$}");
        for (cell, width) in cells.iter().zip(&columns) {
            line += &format!(" | {cell:<width$}");
        }
        line
    };
    let mut out = line("check", worlds) + "\n";
    for row in rows {
        let mark = if row.verdict == Verdict::Equal { "" } else { "  <- different" };
        out += &format!("{}{mark}\n", line(&name(row), &row.cells));
    }
    for row in rows {
        if let Verdict::Different(how) = &row.verdict {
            out += &format!("\ndifferent: {}\n{how}\n", name(row));
        }
    }
    out
}
