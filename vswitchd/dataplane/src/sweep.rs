//! Flows of pods that are gone.
//!
//! A pod that ends seldom says so: the last words of its connections are still
//! on their way when its port closes. An established connection of nobody would
//! stay for days and, pod by pod, fill the table.

use crate::conntrack::Flow;
use crate::ids::{Generation, PortId};
use crate::journal::EndReason;
use crate::local::Local;
use crate::snapshot::{PortKind, Snapshot};
use crate::time::Time;

/// Slots looked at in one call: 256 KiB of flows at most.
const SLOTS: usize = 2048;

/// How far the sweep has come.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// The snapshot under which this round began.
    generation: Generation,
    /// Slots of this round that have been looked at; `None` when it is over.
    next: Option<usize>,
}

impl Local {
    /// Forgets flows with an end at a port that is gone or is another pod's by
    /// now. After each change of the snapshot it goes once through the table, a
    /// bounded part of it a call; to be called about once a second.
    pub fn sweep(&mut self, world: &Snapshot, now: Time) {
        if self.sweep.next.is_none() && self.sweep.generation != world.generation {
            self.sweep = Sweep {
                generation: world.generation,
                next: Some(0),
            };
        }
        let Some(first) = self.sweep.next else {
            return;
        };
        let end = (first + SLOTS).min(self.flows.slots());
        for slot in first..end {
            if let Some((id, flow)) = self.flows.in_slot(slot)
                && is_orphan(world, flow)
            {
                self.journal.removed(now, id, flow, EndReason::Orphaned);
                self.flows.remove(id);
                self.counters().flows_orphaned.add(1);
            }
        }
        self.count_flows();
        self.sweep.next = (end < self.flows.slots()).then_some(end);
    }
}

fn is_orphan(world: &Snapshot, flow: &Flow) -> bool {
    let is_gone = |port: PortId| match world.port(port).map(|port| &port.kind) {
        None => true,
        Some(PortKind::Workload(workload)) => workload.since > flow.born,
        Some(_) => false,
    };
    let decided = flow.ways.iter().filter(|way| way.generation.0 != 0);
    is_gone(flow.origin) || decided.map(|way| way.arrived_by).any(is_gone)
}
