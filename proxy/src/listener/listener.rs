//! A listener and its filter chains, compiled. (envoy: config.listener.v3.Listener)

use std::sync::Arc;
use std::time::Duration;

use outrigger_policy::bulkhead::Bulkhead;

use super::filter_chain::{ChainIndex, Facts};
use super::inspect::Inspectors;
use super::network::{RbacNetwork, TcpProxy};
use super::predicate::Predicate;
use crate::http::HttpConnectionManager;
use crate::net::Address;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{ListenerStats, TlsStats};
use crate::tls::{Discovered, ServerSpec, ServerTls};

/// Which way the traffic of a listener goes. (envoy: config.core.v3.TrafficDirection)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Nothing is said.
    #[default]
    Unspecified,
    /// To the application beside us.
    Inbound,
    /// From it.
    Outbound,
}

/// When a listener asks the kernel where a redirected connection was going. (envoy: envoy.filters.listener.original_dst)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Restore {
    /// Never: connections are for this listener.
    #[default]
    Never,
    /// Before inspectors look, which then go by the true destination; not for connections that the predicate holds for.
    First(Option<Predicate>),
    /// After them.
    Last(Option<Predicate>),
}

/// A socket that a listener is bound to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Where.
    pub address: Address,
    /// Connections that the kernel holds for us. (envoy: tcp_backlog_size)
    pub backlog: i32,
    /// One socket for each worker, instead of one for all. (envoy: enable_reuse_port)
    pub reuse_port: bool,
    /// Bind to addresses that the host does not have yet. (envoy: freebind)
    pub freebind: bool,
    /// An IPv6 socket also takes IPv4. (envoy: SocketAddress.ipv4_compat)
    pub ipv4_compat: bool,
    /// Mode of a Unix socket; 0 leaves it. (envoy: Pipe.mode)
    pub mode: u32,
}

/// A listener.
#[derive(Debug)]
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// Its sockets; the first is the address that it is known by. Empty if it takes connections from another listener only.
    pub binds: Vec<Bind>,
    /// The address that it is known by.
    pub address: Address,
    /// All addresses that it stands for, bound or not, that one first.
    pub addresses: Vec<Address>,
    /// Which way its traffic goes.
    pub direction: Direction,
    /// Which filter chain a connection takes.
    pub index: ChainIndex,
    /// Its filter chains.
    pub chains: Vec<Arc<FilterChain>>,
    /// For connections that no chain fits. (envoy: default_filter_chain)
    pub default_chain: Option<Arc<FilterChain>>,
    /// When the destination of a redirected connection is asked for.
    pub restores: Restore,
    /// A connection goes on at the listener of that destination, if there is one. (envoy: use_original_dst)
    pub hands_over: bool,
    /// Listener filters that look at the first bytes.
    pub inspectors: Inspectors,
    /// How long they may wait. (envoy: listener_filters_timeout)
    pub inspect_timeout: Option<Duration>,
    /// Go on without their answer after that. (envoy: continue_on_listener_filters_timeout)
    pub continue_on_timeout: bool,
    /// Connections stay when the process drains. (envoy: DrainType.MODIFY_ONLY)
    pub drains_on_changes_only: bool,
    /// What tells of every connection when it has ended. (envoy: access_log)
    pub access_log: Arc<AccessLog>,
    /// Connections at once; `None` for no limit.
    pub connection_limit: Option<Arc<Bulkhead>>,
    /// It does not count for the limit of the process. (envoy: ignore_global_conn_limit)
    pub ignores_global_limit: bool,
    /// Counters of `listener.<address>.`.
    pub stats: ListenerStats,
    /// Counters of `listener.<address>.ssl.`.
    pub tls_stats: TlsStats,
}

/// A filter chain. (envoy: config.listener.v3.FilterChain)
#[derive(Debug)]
pub struct FilterChain {
    /// Its name; empty if it has none.
    pub name: Arc<str>,
    /// TLS, or nothing.
    pub transport: ServerTransport,
    /// The handshake must be over by then. (envoy: transport_socket_connect_timeout)
    pub handshake_timeout: Option<Duration>,
    /// Authorization of connections.
    pub rbac: Vec<Arc<RbacNetwork>>,
    /// What is done with the bytes.
    pub terminal: Terminal,
}

/// What stands between the socket and the bytes.
#[derive(Debug)]
pub enum ServerTransport {
    /// Nothing.
    Plain,
    /// TLS.
    Tls(Box<ServerTls>),
    /// TLS whose secrets are discovered: while one is missing every handshake is refused.
    Discovered(Box<Discovered<ServerSpec>>),
}

/// The last filter of a chain.
#[derive(Debug)]
pub enum Terminal {
    /// HTTP.
    Http(Arc<HttpConnectionManager>),
    /// Bytes.
    Tcp(Arc<TcpProxy>),
    /// The same answer for all.
    Direct(Arc<[u8]>),
}

impl Listener {
    /// Every chain, the default one last.
    pub fn all_chains(&self) -> impl Iterator<Item = &Arc<FilterChain>> {
        self.chains.iter().chain(&self.default_chain)
    }

    /// The filter chain for a connection.
    #[must_use]
    pub fn chain(&self, facts: &Facts<'_>) -> Option<&Arc<FilterChain>> {
        let found = self.index.find(facts).and_then(|position| self.chains.get(position));
        found.or(self.default_chain.as_ref())
    }

    /// The chain that takes the place of `old`, a chain of an earlier version of this listener: the one of its name, or the very
    /// same.
    #[must_use]
    pub fn successor(&self, old: &Arc<FilterChain>) -> Option<&Arc<FilterChain>> {
        let mut chains = self.chains.iter().chain(&self.default_chain);
        chains.find(|chain| {
            Arc::ptr_eq(chain, old) || (!old.name.is_empty() && chain.name == old.name)
        })
    }
}
