//! The differences that we want, with their reasons: the table in `docs/parity.md`.

use super::case::Group;
use super::later;
use anyhow::Result;

const BEGIN: &str = "<!-- the table is written by `parity --write-docs` -->\n";

/// The document with its table replaced by what the case files say.
///
/// # Errors
/// When a case does not have the form.
pub fn document(old: &str, groups: &[Group]) -> Result<String> {
    let head = old.split_once(BEGIN).map_or(old, |(head, _)| head);
    let mut out = format!("{head}{BEGIN}\n| Case | What we do | Why |\n|---|---|---|\n");
    for group in groups {
        if let Some(reason) = &group.listed {
            out += &format!("| {} | refused | {reason} |\n", group.title());
        }
        for case in group.cases()? {
            let Some(reason) = &case.options.listed else { continue };
            let ours = &case.options.ours;
            let mut does = Vec::new();
            does.extend(ours.status.as_ref().map(|status| {
                let all: Vec<_> = status.iter().map(u16::to_string).collect();
                if all.is_empty() { "no answer".to_owned() } else { all.join(", ") }
            }));
            does.extend(ours.fate.clone());
            does.extend(ours.upstream.map(|count| format!("{count} upstream")));
            does.extend(
                ours.trailers.as_ref().map(|names| format!("trailers {}", names.join(", "))),
            );
            out += &format!(
                "| {} / {} | {} | {reason} |\n",
                group.title(),
                case.options.name,
                does.join(", ")
            );
        }
    }
    let mut later = String::new();
    for group in groups {
        for text in later::texts(group) {
            later += &format!("| {} | {text} |\n", group.title());
        }
    }
    if !later.is_empty() {
        out += "\n## Not yet: refused by name\n\nCases of these wait for a feature. Until then the bootstrap is refused with this text.\n\n";
        out += &format!("| Group | Refused with |\n|---|---|\n{later}");
    }
    Ok(out)
}
