//! The law of the house: who may know whom, how long a file may be, and that lists name every file of their folder.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    const LONGEST_FILE: usize = 600;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
    }

    /// Every Rust file below `folder`, as a path from the root, with its text.
    fn files(folder: &str) -> Vec<(String, String)> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                    walk(&path, found);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&root().join(folder), &mut found);
        assert!(!found.is_empty(), "nothing in {folder}");
        found.sort();
        let named = |path: PathBuf| {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        };
        found.into_iter().map(named).collect()
    }

    /// The lines of a file that are code: tests at its end and comments do not count.
    fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
        let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
        let lines = text.get(..end).unwrap_or(text).lines().enumerate();
        lines
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn offences(folder: &str, words: &[&str], may: impl Fn(&str) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        for (name, text) in files(folder).iter().filter(|(name, _)| !may(name)) {
            let is_test = name.ends_with("tests.rs") || name.contains("/tests/");
            for (line, content) in code(text).filter(|_| !is_test) {
                if let Some(word) = words.iter().find(|word| content.contains(**word)) {
                    found.push(format!("{name}:{line}: {word}"));
                }
            }
        }
        found
    }

    #[test]
    fn policy_decides_without_sockets_clocks_or_messages() {
        let words = [
            "tokio",
            "outrigger_xds",
            "prost",
            "std::net::Tcp",
            "std::net::Udp",
            "Instant::now",
            "SystemTime::now",
            "rand::rng",
            "rand::random",
            "std::thread",
            "std::fs",
        ];
        assert_eq!(offences("policy/src", &words, |_| false), [""; 0]);
    }

    #[test]
    fn the_xds_client_knows_nothing_of_a_proxy() {
        let words = ["outrigger_policy", "outrigger::"];
        assert_eq!(offences("xds-client", &words, |_| false), [""; 0]);
    }

    #[test]
    fn messages_end_in_the_configuration() {
        let may = |name: &str| {
            name.starts_with("proxy/src/config/") || name == "proxy/src/app/bootstrap.rs"
        };
        assert_eq!(offences("proxy/src", &["outrigger_xds_api"], may), [""; 0]);
    }

    #[test]
    fn rustls_is_known_in_one_module() {
        let may = |name: &str| name.starts_with("proxy/src/tls/");
        let words = ["rustls::", "aws_lc_rs", "x509_parser"];
        assert_eq!(offences("proxy/src", &words, may), [""; 0]);
    }

    #[test]
    fn files_are_short() {
        let folders = ["policy", "xds-client", "proxy", "tests", "benches", "fuzz"];
        let long: Vec<_> = folders
            .into_iter()
            .flat_map(files)
            .map(|(name, text)| (name, text.lines().count()))
            .filter(|(_, lines)| *lines > LONGEST_FILE)
            .collect();
        assert_eq!(long, []);
    }

    /// Each file of a folder is named in the file that lists what is in the folder.
    fn listed(folder: &str, list: &str, entry: impl Fn(&str) -> String, others: &[&str]) {
        let text = fs::read_to_string(root().join(list)).unwrap();
        for file in fs::read_dir(root().join(folder)).unwrap() {
            let name = file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
            if name == "mod" || others.contains(&name.as_str()) {
                continue;
            }
            let entry = entry(&name);
            assert!(text.contains(&entry), "{folder}/{name}.rs: {list} does not name {entry}");
        }
    }

    #[test]
    fn lists_name_what_is_in_their_folders() {
        let others = ["message", "server"];
        let endpoint = |name: &str| format!("{name}::");
        listed("proxy/src/admin", "proxy/src/admin/mod.rs", endpoint, &others);
        let filter = |name: &str| format!("{name}::");
        listed("proxy/src/http/filters", "proxy/src/http/filters/mod.rs", filter, &[]);
    }
}
