//! Which filter chain a connection takes.
//!
//! Envoy's order: destination port, destination address, server name, transport, application protocols, source. Each level picks its best entry and
//! never goes back to a worse one: a chain for the port hides all chains without a port, even if none of its own fits.
//! (envoy: config.listener.v3.FilterChainMatch)

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::net::is_loopback;

/// Where a connection must come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceType {
    /// Anywhere.
    #[default]
    Any,
    /// This host.
    SameIpOrLoopback,
    /// Another host.
    External,
}

/// What a chain asks of a connection; empty lists ask nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainMatch {
    /// (envoy: destination_port)
    pub destination_port: Option<u16>,
    /// (envoy: prefix_ranges)
    pub destination_ranges: Vec<IpNet>,
    /// Exact names or `*.suffix`, in lower case. (envoy: server_names)
    pub server_names: Vec<String>,
    /// `tls` or `raw_buffer`. (envoy: transport_protocol)
    pub transport_protocol: String,
    /// (envoy: application_protocols)
    pub application_protocols: Vec<String>,
    /// (envoy: direct_source_prefix_ranges)
    pub direct_source_ranges: Vec<IpNet>,
    /// (envoy: source_type)
    pub source_type: SourceType,
    /// (envoy: source_prefix_ranges)
    pub source_ranges: Vec<IpNet>,
    /// (envoy: source_ports)
    pub source_ports: Vec<u16>,
}

/// What is known of a connection when its chain is chosen.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The address that the client meant; `None` on a Unix socket.
    pub destination: Option<SocketAddr>,
    /// SNI in lower case; empty without.
    pub server_name: &'a str,
    /// `tls` or `raw_buffer`; empty if nobody has looked.
    pub transport_protocol: &'a str,
    /// What the client offers.
    pub application_protocols: &'a [String],
    /// The physical peer.
    pub direct_source: Option<IpAddr>,
    /// The client.
    pub source: Option<SocketAddr>,
}

/// Chains by what they ask, for look-up.
#[derive(Debug, Default)]
pub struct ChainIndex {
    root: Level,
}

/// Two chains ask the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    /// The first of them.
    pub first: usize,
    /// The second.
    pub second: usize,
}

/// One level's entries; a key leads to the next level.
#[derive(Debug, Default)]
struct Level {
    exact: HashMap<Key, Self>,
    /// Address ranges, longest first.
    ranges: Vec<(Option<IpNet>, Self)>,
    /// At the last level.
    chain: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Any,
    Port(u16),
    Text(String),
    Source(SourceType),
}

/// One way to satisfy a chain's match: a key for each level.
enum Step {
    Exact(Key),
    Range(Option<IpNet>),
}

impl ChainIndex {
    /// Indexes chains by position.
    ///
    /// # Errors
    /// If two chains ask the same, so that one could never be chosen.
    pub fn new<'a>(chains: impl IntoIterator<Item = &'a ChainMatch>) -> Result<Self, Ambiguous> {
        let mut index = Self::default();
        for (position, chain) in chains.into_iter().enumerate() {
            index.insert(chain, position)?;
        }
        Ok(index)
    }

    fn insert(&mut self, chain: &ChainMatch, position: usize) -> Result<(), Ambiguous> {
        let texts = |texts: &[String]| match texts {
            [] => vec![Step::Exact(Key::Any)],
            texts => texts.iter().map(|text| Step::Exact(Key::Text(text.clone()))).collect(),
        };
        let ranges = |ranges: &[IpNet]| match ranges {
            [] => vec![Step::Range(None)],
            ranges => ranges.iter().map(|range| Step::Range(Some(range.trunc()))).collect(),
        };
        let port = |port: Option<u16>| Step::Exact(port.map_or(Key::Any, Key::Port));
        let transport = match &*chain.transport_protocol {
            "" => Step::Exact(Key::Any),
            text => Step::Exact(Key::Text(text.to_owned())),
        };
        let source_ports = match &*chain.source_ports {
            [] => vec![port(None)],
            ports => ports.iter().map(|p| port(Some(*p))).collect(),
        };
        // `*.a.com` is held as `.a.com`: the ends of a name are looked up that way.
        let names: Vec<String> =
            chain.server_names.iter().map(|name| name.trim_start_matches('*').to_owned()).collect();
        let levels = [
            vec![port(chain.destination_port)],
            ranges(&chain.destination_ranges),
            texts(&names),
            vec![transport],
            texts(&chain.application_protocols),
            ranges(&chain.direct_source_ranges),
            vec![Step::Exact(Key::Source(chain.source_type))],
            ranges(&chain.source_ranges),
            source_ports,
        ];
        self.root.insert(&levels, position)
    }

    /// The position of the chain for a connection.
    #[must_use]
    pub fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        let port = |port: Option<u16>| port.map_or(Key::Any, Key::Port);
        let text = |text: &str| Key::Text(text.to_owned());
        let level = self.root.exact_or_any(&port(facts.destination.map(|a| a.port())))?;
        let level = level.range(facts.destination.map(|a| a.ip()))?;
        let level = level.server_name(facts.server_name)?;
        let level = level.exact_or_any(&text(facts.transport_protocol))?;
        let protocols = facts.application_protocols.iter();
        let offered = protocols.filter_map(|p| level.exact.get(&text(p))).next();
        let level = offered.or_else(|| level.exact.get(&Key::Any))?;
        let level = level.range(facts.direct_source)?;
        let level = level.source_type(facts)?;
        let level = level.range(facts.source.map(|a| a.ip()))?;
        level.exact_or_any(&port(facts.source.map(|a| a.port())))?.chain
    }
}

impl Level {
    fn insert(&mut self, levels: &[Vec<Step>], position: usize) -> Result<(), Ambiguous> {
        let Some((steps, rest)) = levels.split_first() else {
            return match self.chain {
                Some(first) if first != position => Err(Ambiguous { first, second: position }),
                _ => {
                    self.chain = Some(position);
                    Ok(())
                }
            };
        };
        for step in steps {
            let next = match step {
                Step::Exact(key) => self.exact.entry(key.clone()).or_default(),
                Step::Range(range) => self.range_mut(*range),
            };
            next.insert(rest, position)?;
        }
        Ok(())
    }

    fn range_mut(&mut self, range: Option<IpNet>) -> &mut Self {
        let place = self.ranges.iter().position(|(held, _)| *held == range);
        let place = place.unwrap_or_else(|| {
            let length = |range: Option<IpNet>| range.map_or(-1, |r| i16::from(r.prefix_len()));
            let place = self.ranges.partition_point(|(held, _)| length(*held) > length(range));
            self.ranges.insert(place, (range, Self::default()));
            place
        });
        #[expect(clippy::indexing_slicing, reason = "the place was found or made above")]
        &mut self.ranges[place].1
    }

    fn exact_or_any(&self, key: &Key) -> Option<&Self> {
        self.exact.get(key).or_else(|| self.exact.get(&Key::Any))
    }

    fn range(&self, address: Option<IpAddr>) -> Option<&Self> {
        let holds = |range: &Option<IpNet>| match (range, address) {
            (None, _) => true,
            (Some(range), Some(address)) => range.contains(&address.to_canonical()),
            (Some(_), None) => false,
        };
        self.ranges.iter().find(|(range, _)| holds(range)).map(|(_, level)| level)
    }

    fn server_name(&self, name: &str) -> Option<&Self> {
        if name.is_empty() {
            return self.exact.get(&Key::Any);
        }
        let ends = name.match_indices('.').filter_map(|(at, _)| name.get(at..));
        std::iter::once(name)
            .chain(ends)
            .find_map(|end| self.exact.get(&Key::Text(end.to_owned())))
            .or_else(|| self.exact.get(&Key::Any))
    }

    fn source_type(&self, facts: &Facts<'_>) -> Option<&Self> {
        let entry = |source| self.exact.get(&Key::Source(source));
        let own = if is_local(facts) { SourceType::SameIpOrLoopback } else { SourceType::External };
        entry(own).or_else(|| entry(SourceType::Any))
    }
}

/// True for a client on this host.
fn is_local(facts: &Facts<'_>) -> bool {
    let Some(source) = facts.source.map(|address| address.ip()) else { return true };
    is_loopback(source) || facts.destination.is_some_and(|address| address.ip() == source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(port: u16, name: &'a str, transport: &'a str, alpn: &'a [String]) -> Facts<'a> {
        Facts {
            destination: Some(SocketAddr::from(([10, 0, 0, 1], port))),
            server_name: name,
            transport_protocol: transport,
            application_protocols: alpn,
            direct_source: Some([10, 0, 0, 2].into()),
            source: Some(SocketAddr::from(([10, 0, 0, 2], 5000))),
        }
    }

    fn index(chains: &[ChainMatch]) -> ChainIndex {
        ChainIndex::new(chains).unwrap()
    }

    #[test]
    fn the_port_hides_chains_without_one() {
        let chains = [
            ChainMatch {
                destination_port: Some(80),
                transport_protocol: "tls".into(),
                ..ChainMatch::default()
            },
            ChainMatch::default(),
        ];
        let index = index(&chains);
        assert_eq!(index.find(&facts(80, "", "tls", &[])), Some(0));
        assert_eq!(index.find(&facts(81, "", "tls", &[])), Some(1));
        assert_eq!(index.find(&facts(80, "", "raw_buffer", &[])), None, "no way back");
    }

    #[test]
    fn server_names_from_exact_to_none() {
        let named = |names: &[&str]| ChainMatch {
            server_names: names.iter().map(|n| (*n).to_owned()).collect(),
            ..ChainMatch::default()
        };
        let chains = [named(&["a.b.com"]), named(&["*.b.com"]), named(&["*.com"]), named(&[])];
        let index = index(&chains);
        for (name, expected) in
            [("a.b.com", 0), ("x.b.com", 1), ("y.x.b.com", 1), ("b.com", 2), ("com", 3), ("", 3)]
        {
            assert_eq!(index.find(&facts(1, name, "tls", &[])), Some(expected), "{name}");
        }
    }

    #[test]
    fn application_protocols_in_the_clients_order() {
        let speaks = |protocols: &[&str]| ChainMatch {
            application_protocols: protocols.iter().map(|p| (*p).to_owned()).collect(),
            ..ChainMatch::default()
        };
        let chains = [speaks(&["h2"]), speaks(&["http/1.1", "istio"]), speaks(&[])];
        let index = index(&chains);
        let find = |alpn: &[&str]| {
            let alpn: Vec<String> = alpn.iter().map(|p| (*p).to_owned()).collect();
            index.find(&facts(1, "", "tls", &alpn))
        };
        assert_eq!(find(&["istio", "h2"]), Some(1));
        assert_eq!(find(&["foo", "h2"]), Some(0));
        assert_eq!(find(&["foo"]), Some(2));
    }

    #[test]
    fn the_longest_range_and_the_source() {
        let to = |range: &str| ChainMatch {
            destination_ranges: vec![range.parse().unwrap()],
            ..ChainMatch::default()
        };
        let from = |source_type, ranges: &[&str]| ChainMatch {
            source_type,
            source_ranges: ranges.iter().map(|r| r.parse().unwrap()).collect(),
            destination_ranges: vec!["10.0.0.1/32".parse().unwrap()],
            ..ChainMatch::default()
        };
        let chains = [
            to("10.0.0.0/8"),
            from(SourceType::External, &["10.0.0.0/24"]),
            from(SourceType::SameIpOrLoopback, &[]),
        ];
        let index = index(&chains);
        assert_eq!(index.find(&facts(1, "", "", &[])), Some(1));
        let mut local = facts(1, "", "", &[]);
        local.source = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
        assert_eq!(index.find(&local), Some(2));
        let mut far = facts(1, "", "", &[]);
        far.source = Some(SocketAddr::from(([11, 0, 0, 1], 1)));
        assert_eq!(index.find(&far), None);
        far.destination = Some(SocketAddr::from(([10, 9, 0, 1], 1)));
        assert_eq!(index.find(&far), Some(0));
    }

    #[test]
    fn two_chains_that_ask_the_same_are_refused() {
        let error = ChainIndex::new(&[ChainMatch::default(), ChainMatch::default()]).unwrap_err();
        assert_eq!(error, Ambiguous { first: 0, second: 1 });
    }
}
