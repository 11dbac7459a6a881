//! Every target with its whole corpus, and with as many mutations of it as `FUZZ_RUNS` says.
//!
//! A failure leaves its input in `artifacts/<target>`, under the seed and the number that make it again. Once the bug is gone, the
//! input belongs into the corpus.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of it is a test")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use outrigger_fuzz::mutate::{Form, Mutator};
use outrigger_fuzz::{TARGETS, Target};

/// Mutated inputs of each target, if `FUZZ_RUNS` does not say otherwise.
const RUNS: u64 = 20_000;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = here().join("corpus").join(target.name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let named = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let read = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let is_written = target.form == Form::Message && path.extension() == Some("yaml".as_ref());
        if is_written { outrigger_fuzz::encode(&bytes).unwrap() } else { bytes }
    };
    files.iter().map(|path| (named(path), read(path))).collect()
}

fn run(target: &Target, input: &[u8], origin: &str) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) else { return };
    let folder = here().join("artifacts").join(target.name);
    let file = folder.join(origin.replace(' ', "-"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(&file, input).unwrap();
    eprintln!("{}: {origin}: input in {}", target.name, file.display());
    resume_unwind(panic);
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    assert!((5..=40).contains(&corpus.len()), "{} files in the corpus", corpus.len());
    for (file, input) in &corpus {
        assert!(input.len() <= 4096, "{file} is too long");
        run(target, input, file);
    }
    let runs = std::env::var("FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let seed = std::env::var("FUZZ_SEED").map_or(1, |seed| seed.parse().unwrap());
    let inputs: Vec<_> = corpus.into_iter().map(|(_, input)| input).collect();
    let mut mutator = Mutator::new(seed, target.form);
    for number in 0..runs {
        run(target, &mutator.next_input(&inputs), &format!("seed {seed} input {number}"));
    }
}

macro_rules! targets {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })+

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),+]);
        }
    };
}

targets! { path http1 http1_response http2 client_hello rbac bootstrap resources peer_metadata peer_exchange }
