//! The daemon and the operator CLI: control plane, workers, host set-up, admin socket.

#![forbid(unsafe_code)]

pub mod config;
pub mod ipam;
pub mod state;
