//! For which connections a listener filter is off. (envoy: config.listener.v3.ListenerFilterChainMatchPredicate)

use std::ops::Range;

/// A condition on the destination port, which is all that Envoy's message can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// Always.
    Any,
    /// For these ports.
    DestinationPort(Range<u32>),
    /// If one of these holds.
    Or(Vec<Self>),
    /// If all of these hold.
    And(Vec<Self>),
    /// If this does not hold.
    Not(Box<Self>),
}

impl Predicate {
    /// Nesting that is accepted; deeper is refused by the translator, so evaluation cannot overflow the stack.
    pub const MAX_DEPTH: usize = 32;

    /// True for a connection to `port`.
    #[must_use]
    pub fn holds(&self, port: Option<u16>) -> bool {
        match self {
            Self::Any => true,
            Self::DestinationPort(range) => {
                port.is_some_and(|port| range.contains(&u32::from(port)))
            }
            Self::Or(all) => all.iter().any(|predicate| predicate.holds(port)),
            Self::And(all) => all.iter().all(|predicate| predicate.holds(port)),
            Self::Not(predicate) => !predicate.holds(port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_combine() {
        let ports = Predicate::DestinationPort(80..90);
        assert!(ports.holds(Some(80)) && !ports.holds(Some(90)) && !ports.holds(None));
        let not = Predicate::Not(Box::new(ports.clone()));
        assert!(not.holds(Some(90)));
        assert!(Predicate::Or(vec![ports.clone(), not.clone()]).holds(None));
        assert!(!Predicate::And(vec![ports, not]).holds(Some(80)));
        assert!(Predicate::Any.holds(None));
    }
}
