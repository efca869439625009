//! `vswitch-bench`: the real daemon against everything else that could connect two pods.
//!
//! ```text
//!   cli ── session ──┬── world    two pods and what connects them, in a sandbox of its own (vswitchd, kernel, vxlan, ovs, naive)
//!                    ├── probe    one measurement of one world; what runs inside the namespaces is an agent
//!                    └── report ── table, html (plot), compare, threshold
//! ```
//!
//! All worlds of a topology are up at once and measured in turn, round by round; a ratio is taken within a round. How it is
//! done and what to beware of stands in `bench/README.md`.

pub mod agent;
pub mod cli;
pub mod compare;
pub mod contender;
pub mod error;
pub mod html;
pub mod interrupt;
pub mod job;
pub mod machine;
pub mod metric;
pub mod place;
pub mod plot;
pub mod probe;
pub mod progress;
pub mod report;
pub mod session;
pub mod stats;
pub mod table;
pub mod threshold;
pub mod world;
