//! The address of this host, as it is told to others in place of a loopback address.
//! (envoy: `LocalInfo::address`, `--local-address-ip-version`)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::OnceLock;

static OWN: OnceLock<IpAddr> = OnceLock::new();

/// Settles whether it is an IPv6 address; to be called once, before anything is served.
pub fn settle_own_address(is_v6: bool) {
    let _ = OWN.set(find(is_v6));
}

/// The address of the interface that leads outside; the loopback address of a host that has none.
#[must_use]
pub fn own_address() -> IpAddr {
    *OWN.get_or_init(|| find(false))
}

/// True for the two addresses that Envoy takes for loopback; others of 127.0.0.0/8 are clients like any.
/// (envoy: `Network::Utility::isLoopbackAddress`)
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

/// Asks the kernel which address it would send from. Nothing is sent: the destinations are for documentation.
fn find(is_v6: bool) -> IpAddr {
    let (any, far, fallback): (IpAddr, IpAddr, IpAddr) = if is_v6 {
        let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        (Ipv6Addr::UNSPECIFIED.into(), far.into(), Ipv6Addr::LOCALHOST.into())
    } else {
        let far = Ipv4Addr::new(203, 0, 113, 1);
        (Ipv4Addr::UNSPECIFIED.into(), far.into(), Ipv4Addr::LOCALHOST.into())
    };
    let address = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((far, 9))?;
        socket.local_addr()
    });
    address.map_or(fallback, |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_always_is_one() {
        assert!(find(false).is_ipv4() && !find(false).is_unspecified());
        assert!(find(true).is_ipv6() && !find(true).is_unspecified());
    }
}
