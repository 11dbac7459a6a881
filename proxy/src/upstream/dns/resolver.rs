//! Asks for the addresses of a name: an IP address is its own, then `/etc/hosts`, then name servers.
//!
//! Answers are not kept: whoever asks decides when to ask again. `/etc/hosts` and `/etc/resolv.conf` are read when a set of servers is first
//! used.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;

use super::{Family, Servers};

/// Resolves names, by whatever servers. A clone is the same resolver.
#[derive(Clone, Default)]
pub struct Resolver {
    by_servers: Rc<RefCell<HashMap<Servers, TokioResolver>>>,
}

/// The addresses of a name; none if there is no such name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    /// How long it is good for, if it says so.
    pub(super) ttl: Option<Duration>,
}

/// Nobody answered, or not what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failure(#[from] NetError);

impl Resolver {
    /// Resolves a name once.
    pub(super) async fn lookup(
        &self,
        name: &str,
        family: Family,
        servers: &Servers,
    ) -> Result<Answer, Failure> {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(Answer { addresses: vec![address], ttl: None });
        }
        let resolver = self.of(servers)?;
        let mut name = name.to_owned();
        if servers.is_absolute && !name.ends_with('.') {
            name.push('.');
        }
        let ask = |kind| ask(&resolver, &name, kind);
        match family {
            Family::V4Only => ask(RecordType::A).await,
            Family::V6Only => ask(RecordType::AAAA).await,
            Family::Auto => first(ask(RecordType::AAAA), ask(RecordType::A)).await,
            Family::V4Preferred => first(ask(RecordType::A), ask(RecordType::AAAA)).await,
            Family::All => both(tokio::join!(ask(RecordType::AAAA), ask(RecordType::A))),
        }
    }

    fn of(&self, servers: &Servers) -> Result<TokioResolver, NetError> {
        let mut by_servers = self.by_servers.borrow_mut();
        if let Some(resolver) = by_servers.get(servers) {
            return Ok(resolver.clone());
        }
        let resolver = build(servers)?;
        by_servers.insert(servers.clone(), resolver.clone());
        Ok(resolver)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

fn build(servers: &Servers) -> Result<TokioResolver, NetError> {
    // A machine without that file has no servers, but it may have /etc/hosts.
    let (config, mut options) =
        read_system_conf().unwrap_or_else(|_| (ResolverConfig::default(), ResolverOpts::default()));
    let (domain, search, mut name_servers) = config.into_parts();
    if !servers.addresses.is_empty() {
        let server = |address: &SocketAddr| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = address.port());
            NameServerConfig::new(address.ip(), true, connections)
        };
        name_servers = servers.addresses.iter().map(server).collect();
    }
    if servers.uses_tcp {
        for server in &mut name_servers {
            server.connections.retain(|c| matches!(c.protocol, ProtocolConfig::Tcp));
        }
    }
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Always;
    options.preserve_intermediates = false;
    let config = ResolverConfig::from_parts(domain, search, name_servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build()
}

async fn ask(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Answer, Failure> {
    let lookup = match resolver.lookup(name, kind).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => return Ok(Answer::default()),
        Err(error) => return Err(error.into()),
    };
    let addresses = lookup.answers().iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    let addresses: Vec<_> = addresses.collect();
    let left = lookup.valid_until().saturating_duration_since(Instant::now());
    // Part of a second has gone by since.
    let ttl = Some(Duration::from_secs_f64(left.as_secs_f64().ceil()));
    Ok(Answer { ttl: ttl.filter(|_| !addresses.is_empty()), addresses })
}

/// The first answer if it has addresses, else the second, which is asked for only then.
async fn first(
    preferred: impl Future<Output = Result<Answer, Failure>>,
    other: impl Future<Output = Result<Answer, Failure>>,
) -> Result<Answer, Failure> {
    match preferred.await {
        Ok(answer) if !answer.addresses.is_empty() => Ok(answer),
        Ok(_) => other.await,
        Err(failure) => match other.await {
            Ok(answer) if !answer.addresses.is_empty() => Ok(answer),
            _ => Err(failure),
        },
    }
}

/// The addresses of both answers. Half an answer will do, but that there are none only both together can say.
fn both(answers: (Result<Answer, Failure>, Result<Answer, Failure>)) -> Result<Answer, Failure> {
    match answers {
        (Ok(mut one), Ok(other)) => {
            one.addresses.extend(other.addresses);
            one.ttl = match (one.ttl, other.ttl) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            Ok(one)
        }
        (Ok(answer), Err(_)) | (Err(_), Ok(answer)) if !answer.addresses.is_empty() => Ok(answer),
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
    }
}
