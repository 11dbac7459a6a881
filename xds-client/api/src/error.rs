//! What is wrong with a configuration file, and where.

/// An error in a configuration file, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {}{reason}", prefix(path))]
pub struct ReadError {
    /// Name of the file, or of whatever else the text came from.
    pub file: String,
    /// Line in it, from 1.
    pub line: u32,
    /// The field, as `static_resources.clusters[0].name`. Empty: the whole file.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_file_line_field_and_reason() {
        let error = ReadError {
            file: "bootstrap.yaml".into(),
            line: 7,
            path: "admin.address".into(),
            reason: "no".into(),
        };
        assert_eq!(error.to_string(), "bootstrap.yaml:7: admin.address: no");
        let error = ReadError { path: String::new(), ..error };
        assert_eq!(error.to_string(), "bootstrap.yaml:7: no");
    }
}
