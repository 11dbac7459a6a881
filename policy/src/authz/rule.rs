//! Boolean rules over tests: what permissions and principals have in common.
//!
//! A [`Rule`] cannot be built empty or deeper than [`MAX_DEPTH`], so evaluating, explaining and dropping
//! one by recursion is safe whatever the control plane sent. A set of one rule is that rule.

use super::request::Request;

/// How deep rules may nest. Protobuf decoders stop at as many messages, so no rule that arrives is refused.
pub const MAX_DEPTH: u8 = 100;

/// One question about a request.
pub trait Test {
    /// The answer; `None` if the question makes no sense, as for a header of a TCP connection.
    fn ask(&self, request: &Request<'_>) -> Option<bool>;

    /// True if answering runs a regular expression: such tests are better asked last.
    fn is_costly(&self) -> bool;
}

/// A boolean rule over tests of type `T`.
#[derive(Clone, Debug)]
pub struct Rule<T> {
    node: Node<T>,
    depth: u8,
}

#[derive(Clone, Debug)]
pub(super) enum Node<T> {
    Any,
    Test(T),
    All(Box<[Self]>),
    OneOf(Box<[Self]>),
    Not(Box<Self>),
}

/// Why rules or policies were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A set needs a rule, a policy needs permissions and principals.
    #[error("an empty set of {0}")]
    Empty(&'static str),
    /// The nesting is deeper than [`MAX_DEPTH`].
    #[error("rules nest deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Policies are a map.
    #[error("two policies are named '{0}'")]
    DuplicateName(Box<str>),
    /// The bounds are not ports, or hold no port.
    #[error("the port range {0}..{1} is empty or out of bounds")]
    PortRange(i32, i32),
}

impl<T> Rule<T> {
    /// Always holds. (envoy: `any`)
    #[must_use]
    pub const fn any() -> Self {
        Self { node: Node::Any, depth: 1 }
    }

    /// Holds if every rule holds. (envoy: `and_rules`, `and_ids`)
    ///
    /// # Errors
    /// If there is no rule, or the result would be too deep.
    pub fn all(rules: Vec<Self>) -> Result<Self, RuleError> {
        Self::set(rules, Node::All)
    }

    /// Holds if at least one rule holds. (envoy: `or_rules`, `or_ids`)
    ///
    /// # Errors
    /// If there is no rule, or the result would be too deep.
    pub fn one_of(rules: Vec<Self>) -> Result<Self, RuleError> {
        Self::set(rules, Node::OneOf)
    }

    /// Holds if this rule does not. (envoy: `not_rule`, `not_id`)
    ///
    /// # Errors
    /// If the result would be too deep.
    pub fn negated(self) -> Result<Self, RuleError> {
        let depth = deeper(self.depth)?;
        Ok(Self { node: Node::Not(Box::new(self.node)), depth })
    }

    pub(super) const fn node(&self) -> &Node<T> {
        &self.node
    }

    fn set(rules: Vec<Self>, form: fn(Box<[Node<T>]>) -> Node<T>) -> Result<Self, RuleError> {
        let deepest = rules.iter().map(|rule| rule.depth).max();
        let depth = deeper(deepest.ok_or(RuleError::Empty("rules"))?);
        match <[Self; 1]>::try_from(rules) {
            Ok([only]) => Ok(only),
            Err(rules) => {
                let nodes = rules.into_iter().map(|rule| rule.node).collect();
                Ok(Self { node: form(nodes), depth: depth? })
            }
        }
    }
}

impl<T: Test> From<T> for Rule<T> {
    fn from(test: T) -> Self {
        Self { node: Node::Test(test), depth: 1 }
    }
}

impl<T: Test> Rule<T> {
    /// True if the rule holds for `request`.
    pub(super) fn holds(&self, request: &Request<'_>, unasked: Unasked) -> bool {
        self.node.holds(request, unasked)
    }

    /// True if a test in the rule is costly.
    pub(super) fn is_costly(&self) -> bool {
        self.node.is_costly()
    }
}

impl<T: Test> Node<T> {
    pub(super) fn holds(&self, request: &Request<'_>, unasked: Unasked) -> bool {
        match self {
            Self::Any => true,
            Self::Test(test) => test.ask(request).unwrap_or(unasked.answer),
            Self::All(nodes) => nodes.iter().all(|node| node.holds(request, unasked)),
            Self::OneOf(nodes) => nodes.iter().any(|node| node.holds(request, unasked)),
            Self::Not(node) => !node.holds(request, unasked.negated()),
        }
    }

    fn is_costly(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Test(test) => test.is_costly(),
            Self::All(nodes) | Self::OneOf(nodes) => nodes.iter().any(Self::is_costly),
            Self::Not(node) => node.is_costly(),
        }
    }
}

/// What a test counts as that cannot be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unasked {
    answer: bool,
    flips: bool,
}

impl Unasked {
    /// In rules that allow: neither the test nor its negation holds, so nothing is granted for want of
    /// evidence. Envoy lets the negation hold.
    pub(super) const GRANTS_NOTHING: Self = Self { answer: false, flips: true };

    /// In rules that deny or log, as Envoy: the test does not hold, and so its negation does.
    pub(super) const IS_FALSE: Self = Self { answer: false, flips: false };

    pub(super) const fn negated(self) -> Self {
        Self { answer: self.answer ^ self.flips, flips: self.flips }
    }
}

fn deeper(depth: u8) -> Result<u8, RuleError> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(RuleError::TooDeep) }
}

#[cfg(test)]
mod tests;
