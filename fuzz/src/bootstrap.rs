//! Bootstraps in YAML: taken or refused at a place, in time, and each time alike.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use outrigger::app;
use outrigger::cli::Options;
use outrigger::telemetry::metrics::Own;
use outrigger_xds_api::envoy::config::bootstrap::v3::Bootstrap;
use outrigger_xds_api::{Document, Pool, Unknown};
use prost::Message;

/// The descriptors, which the proxy drops after use and we need again and again.
pub(crate) static POOL: LazyLock<Pool> = LazyLock::new(Pool::load);

/// Time that any input may take: far more than it needs without optimisation on a busy machine.
const LONGEST: Duration = Duration::from_secs(5);

/// `data` is the text of a bootstrap.
pub fn bootstrap(data: &[u8]) {
    LazyLock::force(&POOL);
    let started = Instant::now();
    let first = outcome(data);
    let elapsed = started.elapsed();
    assert!(elapsed < LONGEST, "took {elapsed:?}");
    if is_asked_twice(data) {
        assert_eq!(first, outcome(data), "another answer the second time");
    }
}

/// True for a few of all inputs: a second look takes as long as the first.
pub(crate) fn is_asked_twice(data: &[u8]) -> bool {
    data.len().is_multiple_of(4)
}

/// What becomes of the bootstrap, as a text that is the same whenever it is the same.
fn outcome(data: &[u8]) -> String {
    let document = match Document::yaml("it.yaml", data) {
        Ok(document) => document,
        Err(error) => {
            check_place(data, &error.file, error.line);
            return error.to_string();
        }
    };
    let mut unknown = Vec::new();
    let message: Bootstrap = match document.read(&POOL, Unknown::Collect(&mut unknown)) {
        Ok(message) => message,
        Err(error) => {
            check_place(data, &error.file, error.line);
            return error.to_string();
        }
    };
    if opens_files(&message.encode_to_vec()) {
        return "opens files".to_owned();
    }
    translated(message).map_or_else(
        |(path, reason)| {
            assert!(!reason.is_empty());
            let place = document.locate(&path);
            check_place(data, place.file, place.line);
            format!("{}:{path}: {reason}", place.line)
        },
        |ignored| format!("{ignored}, unknown {unknown:?}"),
    )
}

/// Takes a bootstrap all the way to clusters that could be used; tells what was ignored, or path and reason of the refusal.
pub(crate) fn translated(message: Bootstrap) -> Result<String, (String, String)> {
    let mut loaded = app::translate(message, &Options::default(), 1, &Arc::new(Own::detached()))
        .map_err(|error| (error.path, error.reason))?;
    for handle in loaded.store.settle(true).clusters {
        let cluster = handle.cluster();
        assert_eq!(cluster.name, handle.name);
    }
    Ok(format!("ignored {:?}", loaded.ignored))
}

/// True for what would make the proxy create files: not here, wherever a mutated path may lead.
pub(crate) fn opens_files(message: &[u8]) -> bool {
    const TYPE: &[u8] = b"FileAccessLog";
    message.windows(TYPE.len()).any(|window| window == TYPE)
}

fn check_place(data: &[u8], file: &str, line: u32) {
    assert_eq!(file, "it.yaml");
    // A line may end in CR alone.
    let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 2;
    assert!((1..=lines).contains(&(line as usize)), "line {line} of {lines}");
}
