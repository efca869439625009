//! What the daemon does to the host's own network, by blocking netlink calls and `nft`.
//!
//! - [`uplink`]: which interface leads to the other nodes.
//! - [`tunnel`]: address and routes of `tunl0`, the host's way to pods; kernel parameters.
//! - [`watch`]: what the kernel reports: neighbours, links, addresses, routes; keeps neighbours alive.
//! - [`nat`]: masquerading for pods that leave the cluster, in a table of our own.
//! - [`links`]: host ends of pods.

pub mod links;
pub mod nat;
pub mod tunnel;
pub mod uplink;
pub mod watch;

/// The host port's interface.
pub const TUNNEL: &str = "tunl0";
