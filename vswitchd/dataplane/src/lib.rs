//! The walk of a frame.
//!
//! [`forward`] is one pure function: it reads an immutable [`Snapshot`], edits
//! the frame in place, remembers only in the worker's own [`Local`] state and
//! is told the time. There are three ways out: [`Action::Transmit`],
//! [`Action::Punt`] and [`Action::Drop`].
//!
//! ```text
//! short way: one more packet of a settled flow, with nothing to say against it?
//!            -> count -> transmit
//! arrive:    parse -> ARP? answer -> uplink and IPIP? decap (known node only)
//!            -> anti-spoof / RPF
//! long way:  which flow, and which worker owns it -> conntrack -> new or stale?
//!            policy: egress of the source, ingress of the destination
//!            -> route (LPM) -> transmit
//! transmit:  TTL -> MTU -> encap/rewrite
//! ```
//!
//! The crate does no I/O, knows no clock and depends on `packet` and `policy`
//! only. Reading `stage/` is reading the packet's path.

#![forbid(unsafe_code)]

mod action;
mod adjacency;
mod arrived;
mod bandwidth;
mod compile;
pub mod conntrack;
mod counters;
mod denied;
mod drop_reason;
mod excerpt;
mod fib;
mod forward;
mod fragments;
mod ids;
mod journal;
mod lane;
mod limiter;
mod local;
mod look_ahead;
mod notebook;
mod port_drops;
mod reassembly;
mod snapshot;
mod stage;
mod sweep;
mod time;

pub use action::{Action, Punt};
pub use adjacency::{Adjacency, Tunnel};
pub use arrived::Arrived;
pub use bandwidth::Bandwidth;
pub use compile::{Description, PeerDescription, UplinkDescription, WorkloadDescription, compile};
pub use counters::{Counter, CounterRow, Counters, PortCounters};
pub use denied::Denied;
pub use drop_reason::{DropReason, Row, Stage};
pub use excerpt::Excerpt;
pub use fib::{Fib, Target};
pub use forward::{forward, observe, observe_resumed, observe_unsettled, resume};
pub use ids::{AdjacencyId, Generation, PeerId, PortId, WorkerId};
pub use journal::{EndReason, FlowEvent, FlowLog, FlowNews, JournalConfig, Relayed, Rules};
pub use lane::{Arrives, Lane};
pub use local::{Event, Local, LocalConfig};
pub use notebook::{Choice, Forgotten, Note, Notebook, Point, Points, Seen, Told};
pub use port_drops::PortDrops;
pub use snapshot::{Node, Peer, Port, PortKind, Snapshot, Workload};
pub use stage::transmit::cut_and_dress;
pub use time::Time;

/// The MAC address every pod is told is its gateway's, as Calico does.
pub const GATEWAY_MAC: packet::MacAddr = packet::MacAddr([0xee; 6]);
/// The link-local address every pod has as its gateway, as Calico does.
pub const GATEWAY_IP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(169, 254, 1, 1);
