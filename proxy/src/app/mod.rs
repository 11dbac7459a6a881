//! The process: from the command line to its last connection.
//!
//! Nothing is bound before the whole bootstrap has been validated. Then the workers start, each a thread with a runtime of its own, and this thread
//! becomes the control runtime.

mod bootstrap;
mod exit;

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use outrigger_policy::bulkhead::Bulkhead;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use crate::cli::{self, Command, Mode, Options, Parsed};
use crate::clock;
use crate::config::LogFormat;
use crate::control::{self, Control};
use crate::lifecycle::Lifecycle;
use crate::listener::ListenerManager;
use crate::telemetry::access_log;
use crate::telemetry::log::{self, Component, Level, Pattern};
use crate::telemetry::metrics::{Own, Registry};
use crate::worker::{self, Shared};
use crate::{admin, demo, net};

pub use bootstrap::{BootstrapError, Loaded, load, translate};

/// Does what the command line says; returns the process's exit code.
#[must_use]
pub fn main(program: &str, parsed: Parsed) -> ExitCode {
    let Parsed { cli, unknown } = parsed;
    if cli.options.version {
        println!("{}", cli::version_line(program));
        return ExitCode::SUCCESS;
    }
    let result = match cli.command {
        Some(Command::Demo { stay }) => demo::run(stay).map_err(AppError::from),
        None => serve(cli.options, &unknown),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outrigger: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why the process cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The bootstrap.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The command line.
    #[error("{0}")]
    Options(String),
    /// A listener.
    #[error(transparent)]
    Bind(#[from] Arc<crate::listener::BindError>),
    /// The admin server.
    #[error("admin: {0}")]
    Admin(#[from] admin::AdminError),
    /// The system.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// The demonstration.
    #[error("{0}")]
    Demo(#[from] demo::DemoError),
}

fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> AppError {
    move |error| AppError::System { what, error }
}

fn serve(options: Options, unknown: &[String]) -> Result<(), AppError> {
    let workers = workers(&options);
    net::settle_own_address(options.local_address_ip_version.eq_ignore_ascii_case("v6"));
    let own = Own::install().map_err(|error| AppError::Options(error.to_string()))?;
    access_log::install(access_log::Settings {
        flush_interval: Duration::from_millis(options.file_flush_interval_msec.into()),
        buffer_bytes: options.file_flush_min_size_kb as usize * 1024,
        dropped: own.log_lines_dropped.clone(),
    });
    let loaded = load(&options, workers, &own)?;
    install_log(&options, loaded.bootstrap.log_format.as_ref())?;
    for flag in unknown {
        tracing::warn!("the flag {flag} is not known, and ignored");
    }
    for field in &loaded.unknown {
        tracing::warn!("unknown field in the bootstrap: {field}");
    }
    if !loaded.unknown.is_empty() {
        loaded.store.count_unknown_static();
    }
    for ignored in &loaded.ignored {
        tracing::info!("{} has no effect: {}", ignored.path, ignored.reason);
    }
    if options.mode != Mode::Serve {
        let path = options.config_path.as_deref().unwrap_or("--config-yaml");
        println!("configuration '{path}' OK");
        return Ok(());
    }
    count_panics(&own);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_name("control")
        .build_local(LocalOptions::default())
        .map_err(system("the control runtime"))?;
    runtime.block_on(run(loaded, options, own, workers))
}

/// The number of worker threads.
fn workers(options: &Options) -> usize {
    match options.concurrency {
        Some(count @ 1..) => usize::try_from(count).unwrap_or(1),
        // Counts what the control group and the affinity of the process allow.
        Some(0) | None => thread::available_parallelism().map_or(1, std::num::NonZero::get),
    }
}

async fn run(
    loaded: Loaded,
    options: Options,
    own: Arc<Own>,
    workers: usize,
) -> Result<(), AppError> {
    let Loaded { bootstrap, store, original, .. } = loaded;
    let registry = store.environment().registry.clone();
    let snapshot = store.snapshot.clone();
    let (to_control, mailbox) = mpsc::channel(control::MAILBOX);
    let shared = Arc::new(Shared::new(snapshot, to_control));
    clock::start().map_err(system("the clock's thread"))?;
    start_workers(&shared, workers)?;

    let drain = Arc::default();
    let limit = bootstrap
        .connection_limit
        .map(|most| Bulkhead::new(u32::try_from(most).unwrap_or(u32::MAX)));
    let listeners = ListenerManager::new(shared.clone(), drain, limit);
    let lifecycle = Rc::new(Lifecycle::default());
    let control = Control::new(
        shared,
        store,
        listeners,
        bootstrap.dynamic,
        bootstrap.node.clone(),
        lifecycle,
    );
    let mut fatal = control.borrow().fatal();

    let quit = admin::Quit::default();
    if let Some(spec) = &bootstrap.admin {
        let server = admin::Server::new(
            control.clone(),
            own,
            options.clone(),
            bootstrap.node,
            original,
            quit.clone(),
        );
        server.start(spec, options.admin_address_path.as_deref())?;
    }
    if let Some(interval) = bootstrap.stats_flush_interval {
        tokio::task::spawn_local(flush_stats(registry, interval));
    }
    tokio::task::spawn_local(control::run(control.clone(), mailbox));
    control.borrow_mut().start();

    tokio::select! {
        failed = fatal.wait_for(Option::is_some) => {
            let error = failed.ok().and_then(|error| (*error).clone());
            error.map_or(Ok(()), |error| Err(error.into()))
        }
        () = exit::wait(control, &options, quit) => Ok(()),
    }
}

async fn flush_stats(registry: Arc<Registry>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        registry.flush();
    }
}

fn start_workers(shared: &Arc<Shared>, count: usize) -> Result<(), AppError> {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..count).map(|_| mpsc::channel(worker::MAILBOX)).unzip();
    shared.set_workers(senders);
    for (index, mailbox) in receivers.into_iter().enumerate() {
        let shared = shared.clone();
        let runtime = move || {
            let runtime =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(worker::run(index, shared, mailbox)),
                Err(error) => tracing::error!(%error, "worker {index} cannot start"),
            }
        };
        thread::Builder::new()
            .name(format!("wrk:worker_{index}"))
            .spawn(runtime)
            .map_err(system("a worker thread"))?;
    }
    Ok(())
}

/// Counts panics, and tells of each; the task that panicked ends, and nothing else.
fn count_panics(own: &Arc<Own>) {
    let own = own.clone();
    std::panic::set_hook(Box::new(move |panic| {
        own.panics.increment(1);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("no message");
        tracing::error!("panic at {place}: {text}");
    }));
}

fn install_log(options: &Options, format: Option<&LogFormat>) -> Result<(), AppError> {
    let escapes = options.log_format_escaped;
    let pattern = match (&options.log_format, format) {
        (Some(_), Some(_)) => {
            return Err(AppError::Options(
                "Only one of ApplicationLogConfig.log_format or CLI option --log-format can be specified.".into(),
            ));
        }
        (Some(text), None) | (None, Some(LogFormat::Text(text))) => Pattern::text(text, escapes),
        (None, Some(LogFormat::Json(fields))) => Pattern::json(fields),
        (None, None) => Pattern::text(log::DEFAULT_PATTERN, escapes),
    };
    let level = Level::parse(&options.log_level).ok_or_else(|| {
        AppError::Options(log::UnknownLevel(options.log_level.clone()).to_string())
    })?;
    log::set_all(level);
    // Libraries tell more than an operator wants to know.
    log::set_component(Component::Misc, level.max(Level::Warning));
    log::set_from_list(&options.component_log_level)
        .map_err(|error| AppError::Options(error.to_string()))?;
    log::install(pattern, options.log_path.as_deref()).map_err(system("--log-path"))
}
