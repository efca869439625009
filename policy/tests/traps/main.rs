//! The numbered traps of policy, as claims: every test's name begins with its number.
//!
//! | numbers | what about | where |
//! |---|---|---|
//! | 1-4, 25, 26 | which directions a policy isolates; several policies | `policy_types` |
//! | 5-11, 27, 28 | whom a rule means: selectors and namespaces | `peers` |
//! | 12-19, 37 | which traffic: protocols, ports, names, SCTP | `ports` |
//! | 20-24 | address blocks and their holes | `blocks` |
//! | 29-32, 35, 39 | who is an endpoint, and when | `endpoints` |
//! | 19, 20, 31-40 | what needs flow state or a device: NAT, the own node, replies, open connections, timeouts, fragments, non-IP | `dataplane/tests/traps.rs` |
//! | cnp | ClusterNetworkPolicy around NetworkPolicy | `cluster_network_policy` |
//! | calico | order, tiers, Pass and Log | `calico` |
//!
//! Not here, because no verdict can show them: 33, 34, 36, 38 and 40. On real interfaces the daemon's
//! `netns_policy` tests show 16, 22, 29, 34, 35 and 37 once more.

mod blocks;
mod calico;
mod cluster_network_policy;
mod endpoints;
mod index;
mod peers;
mod policy_types;
mod ports;
mod world;
