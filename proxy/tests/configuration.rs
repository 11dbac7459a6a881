//! `docs/configuration.md` says what the translators do, field by field.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use outrigger::config::documented;

    const BEGIN: &str = "<!-- the rest is written by UPDATE_DOCS=1 cargo test -p outrigger --test configuration -->\n";

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
    }

    #[test]
    fn the_document_is_what_the_translators_do() {
        let path = root().join("docs/configuration.md");
        let text = fs::read_to_string(&path).unwrap();
        let (head, _) = text.split_once(BEGIN).unwrap();
        let wanted = format!("{head}{BEGIN}{}", documented::markdown());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &wanted).unwrap();
        } else {
            assert!(
                text == wanted,
                "run: UPDATE_DOCS=1 cargo test -p outrigger --test configuration"
            );
        }
    }

    #[test]
    fn every_message_that_is_taken_apart_is_in_it() {
        fn count(folder: &Path) -> usize {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries
                .map(|path| match path.extension() {
                    _ if path.ends_with("tests") => 0,
                    _ if path.is_dir() => count(&path),
                    Some(extension) if extension == "rs" => {
                        let text = fs::read_to_string(&path).unwrap();
                        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                        let is_law = path.ends_with("fields.rs");
                        code.filter(|line| line.contains("fields!(") && !is_law).count()
                    }
                    _ => 0,
                })
                .sum()
        }
        assert_eq!(documented::rows().len(), count(&root().join("proxy/src/config")));
    }

    #[test]
    fn every_field_is_named_once() {
        for (name, fields) in documented::rows() {
            let mut seen = std::collections::HashSet::new();
            assert!(fields.iter().all(|(field, _)| seen.insert(field)), "{name}");
        }
    }
}
