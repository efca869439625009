//! The daemon and the operator CLI: control plane, workers, host set-up, admin socket.

#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod capture_file;
pub mod cli;
pub mod config;
pub mod control;
pub mod doctor;
pub mod flow_log;
pub mod host;
pub mod ipam;
pub mod log;
pub mod metrics;
pub mod offline;
pub(crate) mod recording;
pub mod replay;
pub mod show;
pub mod state;
pub mod tap;
pub mod trace;
pub mod web;
pub mod worker;
