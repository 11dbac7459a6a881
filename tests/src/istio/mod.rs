//! A whole mesh on one machine: the real istiod, the real pilot-agent and Istio's own iptables rules, pods as network namespaces.
//!
//! [`mesh::Mesh`] runs one istiod for two *worlds*, one with real Envoy and one with Outrigger as the proxy of every pod; addresses and names are the
//! same in both, so what is seen in one can be compared with the other. [`check`] reads the checks, [`compare`] runs them, [`scenario`]
//! is what must hold while things break. [`app`] is the application in every pod.

pub mod app;
pub mod authority;
pub mod call;
pub mod check;
pub mod compare;
pub mod config;
pub mod istiod;
pub mod log;
pub mod mesh;
pub mod net;
pub mod observed;
pub mod page;
pub mod pod;
pub mod process;
pub mod scenario;
pub mod table;
pub mod tools;
pub mod world;
