//! What the demonstration prints: acts, what was sent, what came back, proofs, and a table of them at the end.
//!
//! Plain text of at most a hundred columns; colours only for a terminal.

use std::env;
use std::io::{self, IsTerminal as _, Write};
use std::time::Instant;

use super::error::{DemoError, system};

const WIDTH: usize = 100;
/// Before every line below a heading: two spaces, a label, and where the text starts.
const LABEL: usize = 8;

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";

/// One act, as the table tells it.
#[derive(Debug)]
struct Act {
    title: &'static str,
    held: usize,
    failed: usize,
    start: Instant,
    seconds: f64,
}

/// What has been printed, and how it went.
pub(super) struct Report {
    out: Box<dyn Write>,
    is_coloured: bool,
    acts: Vec<Act>,
    start: Instant,
}

type Printed = Result<(), DemoError>;

impl Report {
    /// A report to the standard output.
    pub(super) fn to_stdout() -> Self {
        let is_coloured = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
        Self::new(Box::new(io::stdout()), is_coloured)
    }

    fn new(out: Box<dyn Write>, is_coloured: bool) -> Self {
        Self { out, is_coloured, acts: Vec::new(), start: Instant::now() }
    }

    /// A line as it is.
    pub(super) fn line(&mut self, text: &str) -> Printed {
        writeln!(self.out, "{text}").map_err(system("the standard output"))
    }

    /// Begins an act.
    pub(super) fn act(&mut self, title: &'static str) -> Printed {
        self.acts.push(Act { title, held: 0, failed: 0, start: Instant::now(), seconds: 0.0 });
        let heading = self.painted(BOLD, &format!("{}. {title}", self.acts.len()));
        self.line("")?;
        self.line(&heading)
    }

    /// What is sent.
    pub(super) fn sent(&mut self, text: &str) -> Printed {
        self.labelled("sent", "sent", text)
    }

    /// What came back.
    pub(super) fn got(&mut self, text: &str) -> Printed {
        self.labelled("got", "got", text)
    }

    /// What one of the proxies wrote.
    pub(super) fn wrote(&mut self, text: &str) -> Printed {
        self.labelled("log", "log", text)
    }

    /// Whether something is as it should be; `text` says what, with the numbers.
    pub(super) fn proof(&mut self, holds: bool, text: &str) -> Printed {
        if let Some(act) = self.acts.last_mut() {
            if holds {
                act.held += 1;
            } else {
                act.failed += 1;
            }
            act.seconds = act.start.elapsed().as_secs_f64();
        }
        let (mark, colour) = if holds { ("✓", GREEN) } else { ("✗", RED) };
        let painted = self.painted(colour, mark);
        self.labelled(mark, &painted, text)
    }

    /// Prints the table; an error if a proof failed.
    pub(super) fn close(&mut self) -> Printed {
        self.line("")?;
        let heading = format!("{:>4}  {:<64} {:>8} {:>7}", "act", "what", "proofs", "time");
        let heading = self.painted(BOLD, &heading);
        self.line(&heading)?;
        let rows: Vec<String> = self.acts.iter().enumerate().map(row).collect();
        for row in rows {
            self.line(&row)?;
        }
        let failed: usize = self.acts.iter().map(|act| act.failed).sum();
        let all = failed + self.acts.iter().map(|act| act.held).sum::<usize>();
        let seconds = self.start.elapsed().as_secs_f64();
        let (text, colour) = match failed {
            0 => (format!("all {all} proofs hold, {seconds:.1} s"), GREEN),
            _ => (format!("{failed} of {all} proofs failed, {seconds:.1} s"), RED),
        };
        let text = self.painted(colour, &text);
        self.line(&format!("      {text}"))?;
        if failed == 0 { Ok(()) } else { Err(DemoError::Failed { failed, all }) }
    }

    fn labelled(&mut self, label: &str, shown: &str, text: &str) -> Printed {
        let blank = " ".repeat((LABEL - 2).saturating_sub(label.chars().count()));
        let mut before = format!("  {shown}{blank}");
        for line in wrapped(text, WIDTH - LABEL) {
            self.line(&format!("{before}{line}"))?;
            before = " ".repeat(LABEL);
        }
        Ok(())
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn row((index, act): (usize, &Act)) -> String {
    let (all, mark) = (act.held + act.failed, if act.failed == 0 { "✓" } else { "✗" });
    let proofs = format!("{}/{all} {mark}", act.held);
    format!("{:>4}  {:<64} {proofs:>8} {:>5.1} s", index + 1, act.title, act.seconds)
}

/// `text` in lines of at most `width` characters; a word that is longer gets its own line, and is cut there.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().take(width).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Rc<RefCell<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    #[test]
    fn a_failed_proof_fails_the_demonstration_and_shows() {
        let page = Page::default();
        let mut report = Report::new(Box::new(page.clone()), false);
        report.act("one").unwrap();
        report.proof(true, "holds").unwrap();
        report.close().unwrap();
        report.proof(false, &"fails ".repeat(40)).unwrap();
        let error = report.close().unwrap_err();
        assert_eq!(error.to_string(), "1 of 2 proofs failed");
        let text = page.text();
        assert!(text.contains("\n1. one\n  ✓     holds\n") && text.contains("1/2 ✗"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("ab cd ef", 5), ["ab cd", "ef"]);
        assert_eq!(wrapped("abcdefgh i", 5), ["abcde", "i"]);
    }
}
