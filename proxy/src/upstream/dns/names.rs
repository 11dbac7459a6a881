//! What the names of a cluster resolved to, as its hosts.

use std::net::{IpAddr, SocketAddr};

use super::{Name, Names};
use crate::net::Address;
use crate::upstream::host::HostSpec;
use crate::upstream::host_set::{Assignment, LocalitySpec};

/// The last good answers of a cluster's names, in their order.
#[derive(Debug)]
pub(super) struct Known(Vec<Vec<IpAddr>>);

impl Known {
    /// Nothing yet.
    pub(super) fn new(names: &Names) -> Self {
        Self(vec![Vec::new(); names.iter().count()])
    }

    /// Takes an answer in; true if it changes hosts.
    pub(super) fn learn(&mut self, names: &Names, name: usize, mut addresses: Vec<IpAddr>) -> bool {
        let Some(known) = self.0.get_mut(name) else { return false };
        if names.is_logical {
            // Connections stay as long as their address is one of the name's, whatever the order of an answer.
            if addresses.is_empty() || known.first().is_some_and(|held| addresses.contains(held)) {
                return false;
            }
        } else {
            addresses.sort_unstable();
            addresses.dedup();
        }
        let is_new = *known != addresses;
        *known = addresses;
        is_new
    }

    /// The hosts of all names.
    pub(super) fn assignment(&self, names: &Names) -> Assignment {
        let mut answers = self.0.iter();
        let localities = names.localities.iter().map(|locality| {
            let answers = answers.by_ref().take(locality.names.len());
            let hosts = locality.names.iter().zip(answers);
            let hosts = hosts.flat_map(|(name, addresses)| hosts_of(name, addresses, names));
            LocalitySpec {
                weight: locality.weight,
                priority: locality.priority,
                hosts: hosts.collect(),
            }
        });
        Assignment {
            localities: localities.collect(),
            overprovisioning_percent: names.overprovisioning_percent,
            weighted_priority_health: names.weighted_priority_health,
        }
        .without_duplicates()
    }
}

fn hosts_of(name: &Name, addresses: &[IpAddr], names: &Names) -> Vec<HostSpec> {
    let port = name.like.address.port().unwrap_or_default();
    let mut addresses =
        addresses.iter().map(|ip| Address::from(SocketAddr::new(*ip, port))).collect::<Vec<_>>();
    if !names.is_logical {
        let host = |address| HostSpec { address, ..name.like.clone() };
        return addresses.into_iter().map(host).collect();
    }
    if addresses.is_empty() {
        return Vec::new();
    }
    let address = addresses.remove(0);
    vec![HostSpec { address, additional_addresses: addresses.into(), ..name.like.clone() }]
}
