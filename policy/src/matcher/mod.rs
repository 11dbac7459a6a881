//! Predicates over bytes, header lines, query parameters and addresses, compiled from configuration.
//!
//! All work on bytes: a value that is not UTF-8 is matched as it is and never fails open. Regular
//! expressions match the whole value and are linear in its length.

mod cidr;
mod header;
mod query;
mod regex;
mod string;

pub use self::cidr::CidrSet;
pub use self::header::{HeaderMatcher, HeaderRule};
pub use self::query::{QueryMatcher, QueryRule, parameter};
pub use self::regex::{Regex, RegexError, Substitution};
pub use self::string::{StringMatcher, StringRule};
