//! A set of address ranges. (envoy: config.core.v3.CidrRange)

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Address ranges, sorted for search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CidrSet {
    /// Disjoint, in order.
    ranges: Box<[IpNet]>,
}

impl CidrSet {
    /// Ranges inside others are dropped. A range of IPv4 addresses in IPv6 clothes becomes one of IPv4.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = IpNet>) -> Self {
        let ranges: Vec<IpNet> = ranges.into_iter().map(|range| unmapped(range.trunc())).collect();
        Self { ranges: IpNet::aggregate(&ranges).into() }
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.ranges.iter()
    }

    /// True without ranges.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// True if a range holds `address`. An IPv4 address in IPv6 clothes counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let after = self.ranges.partition_point(|range| range.network() <= address);
        after
            .checked_sub(1)
            .and_then(|index| self.ranges.get(index))
            .is_some_and(|range| range.contains(&address))
    }
}

/// `::ffff:10.0.0.0/104` as `10.0.0.0/8`: addresses are compared as IPv4, so the range must be, too.
fn unmapped(range: IpNet) -> IpNet {
    let prefix_len = range.prefix_len().checked_sub(96);
    match (range.network().to_canonical(), prefix_len) {
        (IpAddr::V4(network), Some(prefix_len)) if range.network().is_ipv6() => {
            Ipv4Net::new(network, prefix_len).map_or(range, IpNet::V4)
        }
        _ => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_addresses_of_both_families() {
        let nets = [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.168.1.7/32",
            "fd00::/8",
            "1.2.3.4/24",
            "::ffff:5.0.0.0/104",
        ];
        let set = CidrSet::new(nets.iter().map(|net| net.parse().unwrap()));
        for inside in
            ["10.255.0.1", "192.168.1.7", "fd12::1", "::ffff:10.0.0.1", "1.2.3.200", "5.1.1.1"]
        {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.0", "9.255.255.255", "192.168.1.8", "fe80::1", "0.0.0.0"] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(!CidrSet::default().contains("::1".parse().unwrap()));
    }
}
