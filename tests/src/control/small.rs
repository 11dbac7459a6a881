//! The smallest mesh, for tests of what an update does: one cluster, one listener, one route configuration; and what such tests ask of answers.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::resources::{cluster, endpoints, listener, routes};
use super::{Form, World};
use crate::load::Backend;

/// Both forms of the protocol.
pub const BOTH: [Form; 2] = [Form::Sotw, Form::Delta];

/// Long enough for something that should not happen.
pub const A_WHILE: Duration = Duration::from_millis(400);

/// A server that answers at once.
///
/// # Errors
/// Without a port for it.
pub fn backend() -> Result<Backend> {
    Backend::start(Duration::ZERO)
}

/// Files of a cluster `a` with one endpoint, of a listener `main`, and of its routes `r`, all of which lead to `a`.
///
/// # Errors
/// When there is no place or port for it.
pub fn mesh(form: Form, backend: &Backend) -> Result<World> {
    let world = World::new(form)?;
    world.write("cluster", &cluster("a", json!({})))?;
    world.write("endpoints", &endpoints("a", &[backend.port()]))?;
    world.write("listener", &listener("main", world.port, "r", json!({})))?;
    world.write("routes", &routes("r", "a"))?;
    Ok(world)
}

/// Routes that answer by themselves.
pub fn answer(body: &str) -> Value {
    let response = json!({ "status": 200, "body": { "inline_string": body } });
    json!([{ "match": { "prefix": "/" }, "direct_response": response }])
}

/// An answer of this status.
pub fn is(wanted: u16) -> impl Fn(Option<&(u16, String)>) -> bool {
    move |answer| answer.is_some_and(|(status, _)| *status == wanted)
}

/// An answer of this body.
pub fn says(wanted: &str) -> impl Fn(Option<&(u16, String)>) -> bool {
    move |answer| answer.is_some_and(|(_, body)| body == wanted)
}
