//! One case on two proxies: the same bootstrap, the same bytes, and everything that can be seen of both.
//!
//! A case file is data ([`case`]); [`bootstrap`] makes a full bootstrap of its short forms; a [`side`]
//! is one proxy with upstreams of its own; [`render`] turns what was seen into lines in which nothing
//! depends on time or ports; [`compare`] finds the lines that differ; [`run`] drives groups of cases.
//! Reasons for differences that we want are in the case files and printed by [`listed`].

pub mod bootstrap;
pub mod case;
pub mod compare;
mod document;
pub mod later;
pub mod listed;
pub mod names;
pub mod render;
pub mod run;
mod settle;
mod shape;
pub mod side;
