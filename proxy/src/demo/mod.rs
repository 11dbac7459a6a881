//! `outrigger demo`: a small mesh on one machine, and proofs of what its proxies do.
//!
//! The only caller is the command line. Services and client run in this process, proxies are child processes of the same executable; nothing
//! needs root, a network or a file of the user's. The story is in [`story`], each act in a file of `acts/`. Nothing that serves
//! traffic depends on this module.

mod acts;
mod bootstrap;
mod certificates;
mod client;
mod error;
mod proxies;
mod report;
mod services;
mod share;
mod shop;
mod stats;
mod story;

use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};

pub use error::DemoError;

use error::system;

/// Tells the story, and prints it; with `stays`, everything then keeps running until Ctrl-C.
///
/// # Errors
/// If a proof fails, something does not start, or the user interrupts the story.
pub fn run(stays: bool) -> Result<(), DemoError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(system("a runtime"))?;
    // Whoever loses is dropped, and with the story everything that it started.
    runtime.block_on(async {
        tokio::select! {
            told = story::tell(stays) => told,
            heard = interrupt() => heard.and(Err(DemoError::Interrupted)),
        }
    })
}

/// Returns when the user, or whoever started the process, wants it to end.
async fn interrupt() -> Result<(), DemoError> {
    let hear = |kind| signal(kind).map_err(system("signals"));
    let mut interrupt = hear(SignalKind::interrupt())?;
    let mut terminate = hear(SignalKind::terminate())?;
    let mut hangup = hear(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
