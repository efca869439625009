//! What a soak found: for machines as JSON, for people as lines.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    agent::{bulk, churn::Churned, paced, sink},
    changes::Changes,
    guests::Guests,
    session::Plan,
    verdict,
    vitals::{Counted, Held},
};

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How long traffic was sent.
    pub seconds: u64,
    /// How this program and, as they stand beside it, the daemons were built.
    pub build: String,
    /// Long verified streams.
    pub streams: Vec<Stream>,
    /// Verified datagrams.
    pub datagrams: Vec<Datagrams>,
    /// Datagrams of anyone with a byte that was not as it was sent.
    pub datagrams_corrupted: u64,
    /// Short connections, by way.
    pub churn: BTreeMap<String, Churned>,
    /// Connections the servers accepted, and those in which they found a wrong byte.
    pub served_connections: u64,
    /// See there.
    pub served_corrupted: u64,
    /// Pods that came and went.
    pub guests: Guests,
    /// The policy that changed.
    pub changes: Changes,
    /// TCP segments all lasting pods sent.
    pub tcp_segments: u64,
    /// Those they sent again.
    pub tcp_retransmits: u64,
    /// Packets that devices of the kernel dropped, by namespace and device.
    pub device_drops: BTreeMap<String, u64>,
    /// The port of the pod that overloads.
    pub flood_interface: String,
    /// Packets that pod's device has sent, of whatever kind.
    pub flood_on_wire: u64,
    /// The daemons.
    pub nodes: Vec<Node>,
    /// What must not be; empty: all is well.
    pub violations: Vec<String>,
}

/// A long stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// From which pod to which.
    pub name: String,
    /// What became of it.
    pub sent: bulk::Sent,
}

/// Datagrams on one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Datagrams {
    /// From which pod to which.
    pub name: String,
    /// Sent evenly and below capacity: none may be lost.
    pub is_paced: bool,
    /// Flows.
    pub flows: Vec<paced::Sent>,
    /// Sent by all of them.
    pub sent: u64,
    /// Of those, arrived intact.
    pub received: u64,
    /// Arrived behind one sent later, or twice.
    pub late: u64,
    /// Dropped by the kernel at the receiver's socket.
    pub socket_drops: u64,
}

impl Datagrams {
    /// Nothing has arrived yet.
    #[must_use]
    pub fn new(name: String, is_paced: bool, flows: Vec<paced::Sent>) -> Self {
        Self {
            name,
            is_paced,
            sent: flows.iter().map(|flow| flow.datagrams).sum(),
            flows,
            received: 0,
            late: 0,
            socket_drops: 0,
        }
    }

    /// Takes what belongs to these flows out of what a sink has received.
    pub fn receive(&mut self, received: &sink::Received) {
        let flows = self.flows.iter();
        let known: Vec<_> = flows
            .filter_map(|sent| received.flows.get(&sent.flow))
            .collect();
        self.received += known.iter().map(|flow| flow.datagrams).sum::<u64>();
        self.late += known.iter().map(|flow| flow.late).sum::<u64>();
        if !known.is_empty() {
            self.socket_drops += received.socket_drops;
        }
    }

    /// Sent and not arrived.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// A daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its node.
    pub name: String,
    /// Before the traffic.
    pub before: Held,
    /// After a fifth of it.
    pub warm: Held,
    /// At its end.
    pub loaded: Held,
    /// When all is quiet again.
    pub after: Held,
    /// Flows with pods of the other node that went without a last word: of those this daemon cannot know, and the one they
    /// talked to repeats itself for minutes.
    pub flows_of_silent: Vec<String>,
    /// All other flows when none should be left, those of its own pods that are gone among them.
    pub flows_left: Vec<String>,
    /// What it counted from the first packet to the last.
    pub counted: Counted,
    /// The frames of a few seconds in which nothing came or went but datagrams.
    pub balance: Balance,
}

/// Frames in, frames out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// Taken in by all ports.
    pub received: u64,
    /// Sent by all ports.
    pub sent: u64,
    /// Lost before the daemon saw them.
    pub missed: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
}

impl Balance {
    /// Frames that came in and neither went out nor were counted; negative: more went out than came in.
    #[must_use]
    pub fn unaccounted(&self) -> i64 {
        let dropped: u64 = self.dropped.values().sum();
        self.received.cast_signed() - self.sent.cast_signed() - dropped.cast_signed()
    }
}

impl Summary {
    /// With what is to be said of the plan, and what must not be.
    #[must_use]
    pub fn judged(mut self, plan: &Plan) -> Self {
        self.seconds = plan.seconds;
        self.build = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        }
        .into();
        self.violations = verdict::violations(&self);
        self
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "soak of {} s ({} build)", self.seconds, self.build)?;
        for Stream { name, sent } in &self.streams {
            let rate = sent.bytes as f64 * 8e-9 / sent.seconds;
            writeln!(
                f,
                "  stream    {name:15} {:>12} bytes sent, {:>12} verified, {rate:.2} Gbit/s",
                sent.bytes, sent.verified_bytes
            )?;
        }
        for way in &self.datagrams {
            let kind = if way.is_paced {
                "datagrams"
            } else {
                "overload "
            };
            writeln!(
                f,
                "  {kind} {:15} {:>12} sent, {} lost, {} late, {} dropped at the receiver's socket",
                way.name,
                way.sent,
                way.lost(),
                way.late,
                way.socket_drops
            )?;
        }
        for (name, churned) in &self.churn {
            writeln!(
                f,
                "  churn     {name:15} {:>12} connections, {} failed, slowest connect {:.1} ms",
                churned.count, churned.failed, churned.slowest_connect_ms
            )?;
        }
        let Guests {
            count,
            exchanges,
            slowest_add_ms,
            slowest_connect_ms,
            ..
        } = &self.guests;
        writeln!(
            f,
            "  guests    {count} pods came and went, {exchanges} exchanges, slowest ADD {slowest_add_ms:.0} ms, slowest connect {slowest_connect_ms:.1} ms"
        )?;
        let Changes {
            count,
            rounds,
            slow,
            asked,
            answered,
            slowest_ms,
            ..
        } = &self.changes;
        writeln!(
            f,
            "  policy    {count} changes, {asked} questions, {answered} answered, {slow} of {rounds} rounds slow, in force within {slowest_ms:.0} ms"
        )?;
        writeln!(
            f,
            "  TCP       {} segments, {} sent again",
            self.tcp_segments, self.tcp_retransmits
        )?;
        writeln!(f, "  kernel    dropped at devices: {:?}", self.device_drops)?;
        for node in &self.nodes {
            writeln!(
                f,
                "  {:9} RSS {} KiB before, {} warm, {} at the end of the load, {} after; heap {} KiB warm, {} at the end; {} descriptors, {} flows left and {} with a pod that went silently from the other node",
                node.name,
                node.before.rss_kib,
                node.warm.rss_kib,
                node.loaded.rss_kib,
                node.after.rss_kib,
                node.warm.heap_kib,
                node.loaded.heap_kib,
                node.after.descriptors,
                node.flows_left.len(),
                node.flows_of_silent.len()
            )?;
            writeln!(
                f,
                "            drops {:?}, missed {}, balance {} in, {} out, {:?} dropped",
                node.counted.drops,
                node.counted.all(|port| port.missed),
                node.balance.received,
                node.balance.sent,
                node.balance.dropped
            )?;
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        let verdict = if self.violations.is_empty() {
            "all is well"
        } else {
            "failed"
        };
        write!(f, "{verdict}")
    }
}
