//! The admin server: Envoy's endpoints. On the control runtime, so that nothing here can delay a request.
//!
//! One file per endpoint; `endpoints!` is the list of them. An endpoint is a function from a request to a whole reply.

mod causes;
mod certs;
mod clusters;
mod config_dump;
mod drain_listeners;
mod healthcheck;
mod help;
mod hot_restart_version;
mod listeners;
mod logging;
mod memory;
mod message;
mod quitquitquit;
mod ready;
mod reopen_logs;
mod reset_counters;
mod runtime;
mod server;
mod server_info;
mod stats;

use std::rc::Rc;
use std::sync::Arc;

pub use message::{Quit, Reply, Request};
pub use server::AdminError;

use crate::cli::Options;
use crate::config::bootstrap::Node;
use crate::control::ControlHandle;
use crate::telemetry::metrics::Own;

/// What endpoints look at.
pub struct Server {
    control: ControlHandle,
    own: Arc<Own>,
    options: Options,
    node: Node,
    /// The bootstrap, encoded.
    bootstrap: Vec<u8>,
    quit: Quit,
}

/// One endpoint.
struct Endpoint {
    path: &'static str,
    /// It changes something: only `POST` is answered.
    is_post: bool,
    help: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    reply: fn(&Server, &Request) -> Reply,
}

/// The endpoints, in the order of their paths.
const ENDPOINTS: &[Endpoint] = &[
    causes::ENDPOINT,
    certs::ENDPOINT,
    clusters::ENDPOINT,
    config_dump::ENDPOINT,
    drain_listeners::ENDPOINT,
    healthcheck::FAIL,
    healthcheck::OK,
    help::ENDPOINT,
    hot_restart_version::ENDPOINT,
    listeners::ENDPOINT,
    logging::ENDPOINT,
    memory::ENDPOINT,
    quitquitquit::ENDPOINT,
    ready::ENDPOINT,
    reopen_logs::ENDPOINT,
    reset_counters::ENDPOINT,
    runtime::ENDPOINT,
    server_info::ENDPOINT,
    stats::ENDPOINT,
    stats::PROMETHEUS,
];

impl Server {
    /// A server that looks at `control`.
    #[must_use]
    pub fn new(
        control: ControlHandle,
        own: Arc<Own>,
        options: Options,
        node: Node,
        bootstrap: Vec<u8>,
        quit: Quit,
    ) -> Rc<Self> {
        Rc::new(Self { control, own, options, node, bootstrap, quit })
    }

    /// Answers a request.
    fn answer(&self, request: &Request) -> Reply {
        let path = request.path.as_str();
        if path == "/" {
            return help::home();
        }
        let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| endpoint.path == path) else {
            return Reply::text(404, format!("invalid path. {}", help::text()));
        };
        if endpoint.is_post && !request.is_post {
            let text = format!("Method {} not allowed, POST required.", request.method);
            return Reply::text(405, text);
        }
        (endpoint.reply)(self, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_says_what_each_does() {
        let paths: Vec<_> = ENDPOINTS.iter().map(|endpoint| endpoint.path).collect();
        let mut sorted = paths.clone();
        sorted.sort_unstable();
        assert_eq!(paths, sorted);
        assert!(ENDPOINTS.iter().all(|endpoint| !endpoint.help.is_empty()));
    }
}
