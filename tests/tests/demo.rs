//! `outrigger demo` itself: whoever runs it sees every proof hold, soon, and nothing is left behind.

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    use std::{fs, thread};

    use outrigger_tests::binary;
    use outrigger_tests::scratch::Scratch;

    /// What is promised to whoever tries it.
    const LIMIT: Duration = Duration::from_secs(40);

    /// Processes whose command line names something in `place`.
    fn processes_in(place: &str) -> Vec<String> {
        let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let line = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&line).replace('\0', " "))
        });
        lines.filter(|line| line.contains(place)).collect()
    }

    #[test]
    fn every_proof_holds_within_forty_seconds_and_nothing_is_left() {
        let scratch = Scratch::new().unwrap();
        let start = Instant::now();
        let output = Command::new(binary::built().unwrap())
            .arg("demo")
            .env("TMPDIR", scratch.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let elapsed = start.elapsed();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{errors}\n{text}", output.status);
        for act in 1..=11 {
            let begins = format!("{act:>4}  ");
            let row = text.lines().find(|line| line.starts_with(&begins));
            assert!(row.is_some_and(|row| row.contains('✓')), "act {act}: {row:?}\n{text}");
        }
        assert!(!text.contains('✗') && !text.contains('\x1b'), "{text}");
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert_eq!(wide, [""; 0]);
        assert!(elapsed < LIMIT, "{elapsed:?}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        assert_eq!(processes_in(&format!("{}/", scratch.path().display())), [""; 0]);
    }

    #[test]
    fn a_signal_ends_the_story_with_everything_that_it_started() {
        let scratch = Scratch::new().unwrap();
        let place = format!("{}/", scratch.path().display());
        let mut demo = Command::new(binary::built().unwrap())
            .args(["demo", "--stay"])
            .env("TMPDIR", scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let limit = Instant::now() + LIMIT;
        while processes_in(&place).len() < 4 {
            let ended = demo.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < limit, "four proxies never ran: {ended:?}");
            thread::sleep(Duration::from_millis(10));
        }
        let id = demo.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = demo.wait().unwrap();
        // It ends by itself, and says that the story was not told to its end.
        assert_eq!(status.code(), Some(1));
        assert_eq!(processes_in(&place), [""; 0]);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
