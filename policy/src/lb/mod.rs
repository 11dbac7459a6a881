//! Load balancing: which host of a cluster gets an attempt, and why.
//!
//! A [`Balancer`] is compiled once per host set and change of health, shared by all workers and never
//! changed; what a pick moves (an index, a schedule) lies in a [`Cursor`] that each worker owns. It knows
//! nothing of where hosts come from, so EDS, STATIC and DNS balance alike. A pick goes through three
//! choices: a priority (`priority`, `panic`), perhaps a locality (`locality`), and a host (the policy).
//! Deliberately absent: zone-aware routing, which needs a local cluster, subsets, which istiod never
//! sends, and slow start.

use std::sync::Arc;

use rand::Rng;

mod balancer;
mod compile;
mod cursor;
mod locality;
mod panic;
mod priority;
mod schedule;
#[cfg(test)]
mod tests;

pub use self::balancer::{Balancer, NoHost, Pick, Reason, Settings};
pub use self::cursor::Cursor;
pub use self::priority::{Availability, Share};

/// What a balancer sees of a host.
pub trait Target {
    /// `load_balancing_weight`, 1 if the configuration has none. Read when a balancer is built and, for
    /// unequal weights, at every pick.
    fn weight(&self) -> u32;

    /// The sum of all that is known of the host: EDS status, active checks, ejection. Read when a
    /// balancer is built, which has to be done again when it changes.
    fn health(&self) -> Health;

    /// Requests of all workers that the host is serving or that wait for a connection to it. Envoy 1.40
    /// leaves the waiting ones out by default (runtime `least_request_lb_count_pending_requests`), and
    /// so goes on sending to a host that accepts no connections.
    fn active_requests(&self) -> u64;
}

/// How far a host may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Gets traffic.
    Healthy,
    /// Gets traffic when there are too few healthy hosts.
    Degraded,
    /// Gets traffic only in panic. `DRAINING` and `TIMEOUT` of EDS count as this.
    Unhealthy,
}

/// The hosts of one locality within one priority. (envoy: config.endpoint.v3.LocalityLbEndpoints)
#[derive(Clone, Debug)]
pub struct Locality<H> {
    /// `load_balancing_weight`; 0, which is also the meaning of none, keeps all traffic away when
    /// localities are weighted.
    pub weight: u32,
    /// Its hosts, in the order of the configuration.
    pub hosts: Vec<Arc<H>>,
}

/// What a policy decides: the next of several hosts.
trait Choose {
    /// Name of the extension that configures it. (envoy: config.cluster.v3.LoadBalancingPolicy)
    const NAME: &'static str;

    /// An index into `hosts`, which are never none.
    fn choose<H: Target>(
        &self,
        hosts: &[Arc<H>],
        weights: Weights,
        slot: &mut cursor::Slot,
        rng: &mut impl Rng,
    ) -> u32;
}

/// Whether weights have to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weights {
    Equal,
    Unequal,
}

/// One line per policy: its file and its type. The type holds the configuration.
macro_rules! policies {
    ($($file:ident::$Policy:ident),+ $(,)?) => {
        $(mod $file;)+
        $(pub use self::$file::$Policy;)+

        /// A load balancing policy.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Policy {
            $(#[doc = concat!("See [`", stringify!($Policy), "`].")] $Policy($Policy),)+
        }

        impl Policy {
            /// Names of the extensions that configure a policy.
            pub const NAMES: &[&str] = &[$($Policy::NAME),+];

            /// Name of the extension that configures this policy.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$Policy(_) => $Policy::NAME),+ }
            }

            fn choose<H: Target>(
                &self,
                hosts: &[Arc<H>],
                weights: Weights,
                slot: &mut cursor::Slot,
                rng: &mut impl Rng,
            ) -> u32 {
                match self { $(Self::$Policy(policy) => policy.choose(hosts, weights, slot, rng)),+ }
            }
        }

        #[cfg(test)]
        const POLICY_FILES: &[&str] = &[$(stringify!($file)),+];
    };
}

policies! {
    round_robin::RoundRobin,
    least_request::LeastRequest,
    random::Random,
}

impl Default for Policy {
    fn default() -> Self {
        Self::RoundRobin(RoundRobin)
    }
}
