//! A cluster on one machine: nodes, pods and an outside world out of namespaces, from one TOML.
//!
//! ```text
//!  sandbox: own PID, mount and network namespace (and user namespace when not root), /run is a tmpfs
//!  ┌──────────────────────────────────────────────────────────────────────────────────────────────┐
//!  │  8.8.8.8 ── gateway ── [underlay bridge] ──┬── minikube      vswitchd ── pods                │
//!  │                                            ├── minikube-m02  vswitchd ── default.nginx        │
//!  │                                            └── minikube-m03  vswitchd ── default.nginx-manual │
//!  └──────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Every node is a network namespace with a real `vswitchd`, every pod a namespace wired by the real
//! CNI plugin `vswitch`, as a container runtime would run it. All of it lives in one [`sandbox`]: when
//! its keeper process ends, the kernel ends every process and unmakes every namespace in it, so nothing
//! can be left behind, not even by a crash.
//!
//! - [`config`]: the TOML. - [`sandbox`]: the keeper and the way in. - [`requirements`]: what it needs. - [`topology`]: the underlay.
//! - [`node`]: daemons. - [`pod`] and [`cni`]: pods as a runtime makes them. - [`manifest`]: what the
//!   API server would say, as YAML files. - [`state`]: what later commands find a lab by.
//! - [`Lab`]: all of it in one value, for tests and benches: dropped, it is gone.
//! - [`tap`]: frames for readers outside. - [`cli`]: `vswitchctl lab`. - [`demo`]: `vswitchctl lab demo`.
#![forbid(unsafe_code)]

pub mod binaries;
pub mod cli;
pub mod cni;
pub mod config;
pub mod demo;
pub mod error;
mod lab;
pub mod manifest;
pub mod node;
pub mod pod;
pub mod requirements;
pub mod sandbox;
pub mod state;
pub mod tap;
pub mod topology;

pub use config::Config;
pub use error::Error;
pub use lab::{Kill, Lab};
