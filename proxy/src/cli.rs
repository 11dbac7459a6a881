//! The command line: Envoy's flags, so that whatever starts Envoy can start this.
//!
//! Flags that mean nothing here are accepted and say so once; flags that nobody knows are warned about, because Istio adds some
//! between its releases.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// A sidecar proxy that takes Envoy's configuration and xDS.
#[derive(Clone, Debug, Parser)]
#[command(name = "outrigger", disable_version_flag = true, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub options: Options,
}

/// What the program does besides serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Shows what the proxy does: services, proxies and a client in one process, in 40 seconds.
    Demo {
        /// Keeps everything running afterwards, until Ctrl-C.
        #[arg(long)]
        stay: bool,
    },
}

/// Envoy's flags.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of Envoy's")]
pub struct Options {
    /// The bootstrap, in YAML or JSON.
    #[arg(short = 'c', long, value_name = "PATH")]
    pub config_path: Option<String>,
    /// A bootstrap in YAML that is merged over the file's.
    #[arg(long, value_name = "YAML")]
    pub config_yaml: Option<String>,
    /// `serve`, or only `validate` the configuration.
    #[arg(long, value_enum, default_value = "serve")]
    pub mode: Mode,
    /// Worker threads; 0 or nothing for one per core that the process may use.
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// Fields of the bootstrap that nobody knows are ignored.
    #[arg(long)]
    pub allow_unknown_static_fields: bool,
    /// The same.
    #[arg(long)]
    pub allow_unknown_fields: bool,
    /// Resources of a control plane with fields that nobody knows are refused.
    #[arg(long)]
    pub reject_unknown_dynamic_fields: bool,
    /// Such fields are not even warned about.
    #[arg(long)]
    pub ignore_unknown_dynamic_fields: bool,
    /// Where to write the address of the admin server.
    #[arg(long, value_name = "PATH")]
    pub admin_address_path: Option<String>,
    /// Which of two families is ours: `v4` or `v6`.
    #[arg(long, value_name = "VERSION", default_value = "v4")]
    pub local_address_ip_version: String,
    /// Level of the log: trace, debug, info, warning, error, critical, off.
    #[arg(short = 'l', long, value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
    /// Levels of parts of it, as `upstream:debug,config:trace`.
    #[arg(long, value_name = "LEVELS", default_value = "")]
    pub component_log_level: String,
    /// How a line of it looks, with spdlog's flags.
    #[arg(long, value_name = "PATTERN")]
    pub log_format: Option<String>,
    /// Line breaks in a message are escaped.
    #[arg(long)]
    pub log_format_escaped: bool,
    /// Where it goes instead of the standard error output.
    #[arg(long, value_name = "PATH")]
    pub log_path: Option<String>,
    /// The cluster of the node, if the bootstrap names none.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub service_cluster: String,
    /// The id of the node, if the bootstrap names none.
    #[arg(long, value_name = "ID", default_value = "")]
    pub service_node: String,
    /// The zone of the node, if the bootstrap names none.
    #[arg(long, value_name = "ZONE", default_value = "")]
    pub service_zone: String,
    /// How long draining takes, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    pub drain_time_s: u32,
    /// Whether clients are told to leave at once or one after the other.
    #[arg(long, value_enum, default_value = "gradual")]
    pub drain_strategy: DrainStrategy,
    /// Access logs are written at least this often, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "10000")]
    pub file_flush_interval_msec: u32,
    /// Access logs are written when this much has come, in KiB.
    #[arg(long, value_name = "KB", default_value = "64")]
    pub file_flush_min_size_kb: u32,
    /// A tag for all stats, as `name:value`.
    #[arg(long, value_name = "TAG")]
    pub stats_tag: Vec<String>,
    /// Prints the version and ends.
    #[arg(long)]
    pub version: bool,
    /// What is accepted for the sake of who says it.
    #[command(flatten)]
    pub ignored: Ignored,
}

/// Flags without effect.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of Envoy's")]
#[command(next_help_heading = "Without effect")]
pub struct Ignored {
    /// There is no hot restart.
    #[arg(long, value_name = "ID", default_value = "0")]
    pub base_id: u32,
    /// There is no hot restart.
    #[arg(long)]
    pub use_dynamic_base_id: bool,
    /// There is no hot restart.
    #[arg(long, value_name = "PATH")]
    pub base_id_path: Option<String>,
    /// There is none.
    #[arg(long)]
    pub disable_hot_restart: bool,
    /// There is no hot restart.
    #[arg(long, value_name = "N", default_value = "0")]
    pub restart_epoch: u32,
    /// There is no hot restart.
    #[arg(long)]
    pub hot_restart_version: bool,
    /// There is no hot restart.
    #[arg(long, value_name = "SECONDS", default_value = "900")]
    pub parent_shutdown_time_s: u32,
    /// There is no hot restart.
    #[arg(long)]
    pub skip_hot_restart_on_no_parent: bool,
    /// There is no hot restart.
    #[arg(long)]
    pub skip_hot_restart_parent_stats: bool,
    /// There is no hot restart.
    #[arg(long, value_name = "PATH")]
    pub socket_path: Option<String>,
    /// There is no hot restart.
    #[arg(long, value_name = "MODE")]
    pub socket_mode: Option<String>,
    /// Deprecated fields are not warned about anyway.
    #[arg(long)]
    pub skip_deprecated_logs: bool,
    /// Stack traces are one entry anyway.
    #[arg(long)]
    pub log_stacktrace_single_entry: bool,
    /// The log has one level per component.
    #[arg(long)]
    pub enable_fine_grain_logging: bool,
    /// Locks are not traced.
    #[arg(long)]
    pub enable_mutex_tracing: bool,
    /// The limits of the process decide.
    #[arg(long)]
    pub enable_core_dump: bool,
    /// Worker threads are always counted that way.
    #[arg(long)]
    pub cpuset_threads: bool,
    /// Extensions cannot be disabled.
    #[arg(long, value_name = "NAMES")]
    pub disable_extensions: Option<String>,
}

/// (envoy: --mode)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Validate, and serve.
    #[default]
    Serve,
    /// Validate, and end.
    Validate,
    /// The same.
    #[value(name = "init_only")]
    InitOnly,
}

/// (envoy: --drain-strategy)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DrainStrategy {
    /// One client after the other, over the drain time.
    #[default]
    Gradual,
    /// All at once.
    Immediate,
}

impl Options {
    /// How long draining takes.
    #[must_use]
    pub fn drain_time(&self) -> Duration {
        Duration::from_secs(self.drain_time_s.into())
    }
}

/// A command line, and the flags in it that nobody knows.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The command line.
    pub cli: Cli,
    /// Unknown flags, with the values that they seemed to have.
    pub unknown: Vec<String>,
}

/// Reads the command line.
///
/// # Errors
/// If a known flag has no sense, or help was asked for; the error prints itself and knows the exit code.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut unknown = Vec::new();
    loop {
        let error = match Cli::try_parse_from(&arguments) {
            Ok(cli) => return Ok(Parsed { cli, unknown }),
            Err(error) => error,
        };
        let removed = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(flag)) if error.kind() == ErrorKind::UnknownArgument => {
                remove(&mut arguments, flag)
            }
            _ => None,
        };
        unknown.push(removed.ok_or(error)?);
    }
}

/// Takes a flag out, with the word after it unless that is a flag too: it can only be the flag's value.
fn remove(arguments: &mut Vec<OsString>, flag: &str) -> Option<String> {
    if !flag.starts_with('-') {
        return None;
    }
    let is_flag = |argument: &OsString| {
        let text = argument.to_string_lossy();
        text == flag || text.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))
    };
    let place = arguments.iter().position(is_flag)?;
    let mut removed = arguments.remove(place).to_string_lossy().into_owned();
    let has_value = !removed.contains('=')
        && arguments.get(place).is_some_and(|next| !next.to_string_lossy().starts_with('-'));
    if has_value {
        removed.push(' ');
        removed.push_str(&arguments.remove(place).to_string_lossy());
    }
    Some(removed)
}

/// What `--version` prints, in Envoy's form: `NAME  version: COMMIT/VERSION/STATE/BUILD/TLS`.
#[must_use]
pub fn version_line(program: &str) -> String {
    let name =
        Path::new(program).file_name().map_or_else(|| program.into(), |n| n.to_string_lossy());
    format!("\n{name}  version: {}\n", version())
}

/// The version as the admin server tells it.
#[must_use]
pub fn version() -> String {
    let build = if cfg!(debug_assertions) { "DEBUG" } else { "RELEASE" };
    format!("outrigger/{}/Clean/{build}/AWS-LC", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Parsed {
        parse(line.split(' ').map(OsString::from)).unwrap()
    }

    #[test]
    fn pilot_agent_can_start_it() {
        let Parsed { cli, unknown } = parsed(
            "envoy -c /etc/istio/proxy/envoy-rev.json --drain-time-s 45 --drain-strategy immediate \
             --local-address-ip-version v4 --file-flush-interval-msec 1000 --disable-hot-restart \
             --allow-unknown-static-fields -l warning --component-log-level misc:error \
             --skip-deprecated-logs --concurrency 2",
        );
        let options = cli.options;
        assert_eq!(unknown, [""; 0]);
        assert_eq!(options.config_path.as_deref(), Some("/etc/istio/proxy/envoy-rev.json"));
        assert_eq!(options.drain_time(), Duration::from_secs(45));
        assert_eq!(options.drain_strategy, DrainStrategy::Immediate);
        assert_eq!((options.concurrency, options.file_flush_interval_msec), (Some(2), 1000));
        assert_eq!(options.component_log_level, "misc:error");
    }

    #[test]
    fn unknown_flags_are_named_and_left_out() {
        let Parsed { cli, unknown } =
            parsed("envoy --nosuch 7 --base-id 3 --other=x --third -c a.yaml");
        assert_eq!(unknown, ["--nosuch 7", "--other=x", "--third"]);
        assert_eq!(cli.options.config_path.as_deref(), Some("a.yaml"));
        assert_eq!(cli.options.ignored.base_id, 3);
    }

    #[test]
    fn values_without_sense_are_refused() {
        for line in ["x --concurrency many", "x --mode dance", "x stray", "x -c"] {
            assert!(parse(line.split(' ').map(OsString::from)).is_err(), "{line}");
        }
    }

    #[test]
    fn the_version_begins_with_the_name_it_was_called_by() {
        assert!(version_line("/usr/local/bin/envoy").starts_with("\nenvoy  version: "));
    }
}
