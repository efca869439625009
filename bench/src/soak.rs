//! `vswitch-soak`: everything at once, for minutes, and every packet accounted for.
//!
//! ```text
//!   cli ── session ──┬── world    two nodes, seven pods, policies, in a sandbox of the lab
//!                    ├── agent    what runs inside the pods: streams, datagrams, short connections, questions
//!                    ├── guests   pods that come, talk and go
//!                    ├── changes  a policy that changes every second, and whether it is obeyed
//!                    ├── vitals   what the daemons hold and count
//!                    └── verdict ── summary
//! ```
//!
//! What is verified, and what makes a run fail, stands in `bench/README.md`.

pub mod agent;
pub mod changes;
pub mod cli;
pub mod guests;
pub mod session;
pub mod stream;
pub mod summary;
pub mod verdict;
pub mod vitals;
pub mod world;
