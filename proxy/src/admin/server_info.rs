//! `/server_info`: version, state and how the process was started. (envoy: admin.v3.ServerInfo)

use serde_json::json;

use super::{Endpoint, Reply, Request, Server};
use crate::cli::{self, DrainStrategy, Mode};
use crate::config::node_json;
use crate::telemetry::log::DEFAULT_PATTERN;

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/server_info",
    is_post: false,
    help: "print server version/status information",
    parameters: &[],
    reply,
};

fn reply(server: &Server, _: &Request) -> Reply {
    let control = server.control.borrow();
    let options = &server.options;
    let uptime = format!("{}s", control.lifecycle.started.elapsed().as_secs());
    let mode = match options.mode {
        Mode::Serve => "Serve",
        Mode::Validate => "Validate",
        Mode::InitOnly => "InitOnly",
    };
    let strategy = match options.drain_strategy {
        DrainStrategy::Gradual => "Gradual",
        DrainStrategy::Immediate => "Immediate",
    };
    Reply::json(&json!({
        "version": cli::version(),
        "state": control.lifecycle.state().as_str(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": {
            "base_id": options.ignored.base_id.to_string(),
            "concurrency": control.shared.workers().len(),
            "config_path": options.config_path.as_deref().unwrap_or_default(),
            "config_yaml": options.config_yaml.as_deref().unwrap_or_default(),
            "allow_unknown_static_fields": options.allow_unknown_static_fields,
            "admin_address_path": options.admin_address_path.as_deref().unwrap_or_default(),
            "local_address_ip_version": options.local_address_ip_version,
            "log_level": options.log_level,
            "component_log_level": options.component_log_level,
            "log_format": options.log_format.as_deref().unwrap_or(DEFAULT_PATTERN),
            "log_path": options.log_path.as_deref().unwrap_or_default(),
            "service_cluster": options.service_cluster,
            "service_node": options.service_node,
            "service_zone": options.service_zone,
            "file_flush_interval": format!("{}s", f64::from(options.file_flush_interval_msec) / 1000.0),
            "drain_time": format!("{}s", options.drain_time_s),
            "parent_shutdown_time": format!("{}s", options.ignored.parent_shutdown_time_s),
            "mode": mode,
            "disable_hot_restart": true,
            "reject_unknown_dynamic_fields": options.reject_unknown_dynamic_fields,
            "log_format_escaped": options.log_format_escaped,
            "ignore_unknown_dynamic_fields": options.ignore_unknown_dynamic_fields,
            "drain_strategy": strategy,
            "stats_tag": options.stats_tag,
            "skip_deprecated_logs": options.ignored.skip_deprecated_logs,
            "file_flush_min_size": options.file_flush_min_size_kb,
        },
        "node": node_json(&server.node.original),
    }))
}
