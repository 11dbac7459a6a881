//! stub
use crate::config::ClusterHandle;
use crate::control::Control;
use std::sync::Arc;
use std::{cell::RefCell, rc::Weak};
/// x
#[derive(Default)]
pub struct Resolver;
/// x
pub fn watch(_: &Resolver, _: &Arc<ClusterHandle>, _: &Weak<RefCell<Control>>) {}
