//! The files that Istio's agent writes for a sidecar and a gateway are taken, and what a bootstrap does wrong is said where it stands.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Output};

    use outrigger_tests::binary;
    use outrigger_tests::scratch::Scratch;

    fn validate(config: &Path) -> Output {
        let binary = binary::built().unwrap();
        Command::new(binary).args(["--mode", "validate", "-c"]).arg(config).output().unwrap()
    }

    #[test]
    fn the_files_of_istio_are_taken() {
        for file in ["sidecar.json", "router.json"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bootstraps").join(file);
            let output = validate(&path);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stdout).trim_end().ends_with("OK"));
        }
    }

    #[test]
    fn a_mistake_is_told_with_file_line_field_and_reason() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("wrong.yaml");
        let text = "static_resources:\n  clusters:\n  - name: one\n    type: STATIC\n    connect_timeout: -1s\n";
        fs::write(&path, text).unwrap();
        let output = validate(&path);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        let place =
            "wrong.yaml:5: static_resources.clusters[0].connect_timeout: must not be negative";
        assert!(said.contains(place), "{said}");
    }
}
