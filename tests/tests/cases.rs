//! The case files are data: whether they can be read, name every case once, and are documented.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use outrigger_tests::parity::bootstrap;
    use outrigger_tests::parity::case::{self, Group};
    use outrigger_tests::parity::{later, listed};

    fn groups() -> Vec<Group> {
        case::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/cases")).unwrap()
    }

    #[test]
    fn every_case_file_can_be_read_and_makes_bootstraps() {
        for group in groups() {
            group.cases().unwrap();
            bootstrap::build(&later::whole(&group))
                .unwrap_or_else(|error| panic!("{}: {error:#}", group.title()));
        }
    }

    #[test]
    fn titles_are_used_once() {
        let mut seen = BTreeSet::new();
        for group in groups() {
            assert!(seen.insert(group.title()), "two groups {}", group.title());
            for case in group.cases().unwrap() {
                assert!(seen.insert(case.title(&group)), "two cases {}", case.title(&group));
            }
        }
    }

    #[test]
    fn cases_are_many_and_a_group_without_cases_is_a_refusal() {
        let counts = groups().into_iter().map(|group| {
            let cases = group.cases().unwrap().len();
            assert_eq!(cases == 0, group.refused, "{}", group.title());
            cases
        });
        assert!(counts.sum::<usize>() >= 1000);
    }

    #[test]
    fn the_differences_that_we_want_are_documented() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/parity.md");
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(listed::document(&text, &groups()).unwrap(), text, "run parity --write-docs");
    }
}
