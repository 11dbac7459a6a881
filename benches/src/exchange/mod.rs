//! One exchange through the whole proxy, counted in user instructions and allocations.
//!
//! The program that ships runs under callgrind between a client and a backend of ours, twice: the second time the client sends more requests over its one
//! connection. The difference of both profiles, divided by the requests that are more, is the exchange without start, connection and end. mTLS is left
//! out: its cost is the library's, and its handshake differs from run to run.

mod backend;
mod bootstrap;
mod client;
mod profile;
mod proxy;

use std::path::Path;

use anyhow::{Context, Result};

pub use bootstrap::{Bootstrap, Chain, Ports, Protocol};
pub use profile::Profile;

use backend::Backend;
use proxy::Proxy;

/// Requests of the first run: connections are up, maps have grown, pools are filled.
const WARM_UP: u64 = 500;
/// Requests of the second run beyond these.
const MEASURED: u64 = 2_000;

/// What one exchange takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// User instructions of the worker and the writer of its log.
    pub instructions: u64,
    /// Calls of the allocator that ask for memory, rounded: a timer or a map that grows once in many exchanges is none of an exchange.
    pub allocations: u64,
}

/// Every exchange that is counted, with its name.
pub const ALL: [(&str, Bootstrap); 4] = [
    ("http1", Bootstrap { chain: Chain::Plain, protocol: Protocol::Http1 }),
    ("http1_sidecar", Bootstrap { chain: Chain::Sidecar, protocol: Protocol::Http1 }),
    ("http2", Bootstrap { chain: Chain::Plain, protocol: Protocol::Http2 }),
    ("http2_sidecar", Bootstrap { chain: Chain::Sidecar, protocol: Protocol::Http2 }),
];

/// Counts one exchange through `program` with this bootstrap. Profiles stay in `folder` as `NAME.few-*` and
/// `NAME.many-*`.
///
/// # Errors
/// If the proxy does not start, an answer is not 200, or there is no valgrind.
pub fn cost(program: &Path, name: &str, bootstrap: Bootstrap, folder: &Path) -> Result<Cost> {
    let few = profile(program, bootstrap, WARM_UP, &folder.join(format!("{name}.few")))?;
    let more = WARM_UP + MEASURED;
    let many = profile(program, bootstrap, more, &folder.join(format!("{name}.many")))?;
    Ok(Cost {
        instructions: many.instructions.saturating_sub(few.instructions) / MEASURED,
        allocations: (many.allocations.saturating_sub(few.allocations) + MEASURED / 2) / MEASURED,
    })
}

fn profile(program: &Path, bootstrap: Bootstrap, requests: u64, out: &Path) -> Result<Profile> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let backend = Backend::start(bootstrap.protocol)?;
    let proxy = Proxy::start(program, bootstrap, backend.port, out)?;
    runtime
        .block_on(client::run(bootstrap.protocol, proxy.port, requests))
        .with_context(|| proxy.last_output())?;
    proxy.stop()?;
    Profile::read(out)
}
