//! Questions as people put them: may this pod open that connection to that one?
//!
//! The table and the oracle are asked by address, one direction at a time. Here ends have names,
//! and a question has one answer: allowed when the source's egress *and* the destination's ingress
//! allow it. [`Roster`] knows who is behind a name or an address, [`FlowKind`] what is sent,
//! [`Judge`] asks the compiled table, and [`Probe`] and [`Answer`] are the lines of `policy eval`.
//!
//! What is added to the table's own answer:
//! - Ends outside the cluster, nodes and pods on their node's network are *not policed*.
//! - So is a pod that has finished: its identity is gone, but its address may be nobody's yet.
//! - A pod's own node, and the host-network pods on it, may always reach the pod: its kubelet
//!   probes it (Kubernetes: "traffic to and from the node where a Pod is running is always
//!   allowed").
//! - A pod whose manifest has no address yet is given [one of its own](placeholder), so that it can
//!   be judged by name.

mod answer;
mod flow_kind;
mod judge;
mod party;
mod placeholder;
mod probe;
mod roster;

pub use answer::{Answer, HalfAnswer};
pub(crate) use flow_kind::short_name;
pub use flow_kind::{DEFAULT_SOURCE_PORT, FlowKind, FlowKindError};
pub use judge::{Half, Judge, NoCommonFamily, Ruling};
pub(crate) use party::FINISHED;
pub use party::{Party, PartyKind};
pub use placeholder::with_placeholders;
pub use probe::{BadProbe, Probe};
pub use roster::{Roster, UnknownParty};

#[cfg(test)]
mod tests;
