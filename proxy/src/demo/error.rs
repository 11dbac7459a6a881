//! Why the demonstration ended without showing everything.

use std::io;

/// Why the demonstration failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The certificates.
    #[error("the certificates: {0}")]
    Certificates(#[from] rcgen::Error),
    /// A proxy did not start, or went away.
    #[error("the proxy of {name}: {reason}")]
    Proxy {
        /// Beside whom it runs.
        name: &'static str,
        /// What happened, with the last lines of its log.
        reason: String,
    },
    /// Not everything was as it should be.
    #[error("{failed} of {all} proofs failed")]
    Failed {
        /// Proofs that failed.
        failed: usize,
        /// Proofs there were.
        all: usize,
    },
    /// The user had enough.
    #[error("the demo was interrupted")]
    Interrupted,
}

pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> DemoError {
    move |error| DemoError::System { what, error }
}
