//! How the process ends.
//!
//! `SIGTERM` and `SIGINT` begin to drain: clients are told to leave, and everything is served until nobody is left, or the drain time is over; then
//! what is still running gets a last while. A second signal, and `/quitquitquit`, end the process at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use crate::admin::Quit;
use crate::cli::Options;
use crate::control::ControlHandle;
use crate::lifecycle::ServerState;
use crate::listener::drain::Phase;
use crate::telemetry::{access_log, log};

/// Nobody has been connected for this long: whoever sends requests has heard that we leave.
const QUIET: Duration = Duration::from_secs(2);
/// For requests that are running when the drain time is over.
const LAST_WHILE: Duration = Duration::from_secs(5);
/// How often connections are counted.
const LOOK: Duration = Duration::from_millis(50);

/// Returns when the process has to end, and nothing is buffered any more.
pub(super) async fn wait(control: ControlHandle, options: &Options, quit: Quit) {
    wait_and_drain(&control, options, quit).await;
    access_log::flush();
}

async fn wait_and_drain(control: &ControlHandle, options: &Options, quit: Quit) {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(hangup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::user_defined1()),
    ) else {
        tracing::error!("signals cannot be heard");
        return quit.told().await;
    };
    tokio::task::spawn_local(reopen_logs(hangup));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = quit.told() => return,
    }
    tracing::info!("draining for at most {} s", options.drain_time_s);
    tokio::select! {
        () = drain(control, options.drain_time()) => tracing::info!("drained"),
        _ = terminate.recv() => tracing::warn!("ending at once"),
        _ = interrupt.recv() => tracing::warn!("ending at once"),
        () = quit.told() => {}
    }
}

async fn drain(control: &ControlHandle, time: Duration) {
    let shared = {
        let control = control.borrow();
        control.lifecycle.set_state(ServerState::Draining);
        control.drain(Phase::Draining, false);
        control.shared.clone()
    };
    let deadline = Instant::now() + time;
    let mut quiet_since = Instant::now();
    let mut arrivals = shared.arrivals();
    while Instant::now() < deadline && quiet_since.elapsed() < QUIET {
        // A connection that came and went since the last look is one, too.
        let arrived = shared.arrivals();
        if shared.connections() > 0 || arrived != arrivals {
            arrivals = arrived;
            quiet_since = Instant::now();
        }
        sleep(LOOK).await;
    }
    {
        let mut control = control.borrow_mut();
        control.listeners.stop(false);
        control.drain(Phase::Ending, false);
    }
    let left = async {
        while shared.connections() > 0 {
            sleep(LOOK).await;
        }
    };
    if timeout(LAST_WHILE, left).await.is_err() {
        tracing::warn!("{} connections are cut off", shared.connections());
    }
}

async fn reopen_logs(mut told: Signal) {
    while told.recv().await.is_some() {
        access_log::reopen();
        if let Err(error) = log::reopen() {
            tracing::error!(%error, "the log cannot be reopened");
        }
    }
}
