//! Outrigger: a sidecar proxy that takes Envoy's configuration and xDS.

pub mod admin;
pub mod app;
pub mod body;
pub mod cli;
pub mod clock;
#[allow(deprecated, reason = "every field is decided about, those that are on their way out too")]
pub mod config;
pub mod control;
pub mod demo;
pub mod exchange;
pub mod failure;
pub mod http;
pub mod lifecycle;
pub mod listener;
pub mod net;
pub mod peer;
pub mod stack;
pub mod stage;
pub mod telemetry;
pub mod tls;
pub mod upstream;
pub mod worker;
