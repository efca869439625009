//! What only the workers know at this moment, for `show` and metrics.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use dataplane::conntrack::Flow;
use dataplane::{Counters, DropReason, Excerpt, Generation, Snapshot, Time, WorkerId};
use packet::FlowKey;

use super::clock::Clock;
use super::command::Command;
use super::encapsulation::SegmentationHelp;
use super::load::Load;
use super::ports::Registry;
use super::relaying::RelayHelp;
use super::shared::Shared;
use super::thread::FLOW_PAGE;
use crate::control::{
    ConntrackRow, DropRow, Live, PortCounters, PortDropRow, Relaying, Segmentation, WorkerReport,
};
use crate::tap::{Hub, TapRow};

/// A worker answers between two batches.
const PATIENCE: Duration = Duration::from_secs(2);

/// The running workers, to be asked.
pub struct LiveWorkers {
    shared: Arc<Shared>,
    commands: Vec<Sender<Command>>,
    registry: Registry,
    segmentation: SegmentationHelp,
    relaying: RelayHelp,
    clock: Clock,
    taps: Arc<Hub>,
    loads: Vec<Load>,
}

impl LiveWorkers {
    pub(super) fn new(
        shared: Arc<Shared>,
        commands: Vec<Sender<Command>>,
        registry: Registry,
        (segmentation, relaying): (SegmentationHelp, RelayHelp),
        clock: Clock,
        taps: Arc<Hub>,
    ) -> Self {
        let loads = shared.counters.iter().map(|_| Load::default()).collect();
        Self {
            shared,
            commands,
            registry,
            segmentation,
            relaying,
            clock,
            taps,
            loads,
        }
    }

    /// The taps.
    #[must_use]
    pub fn taps(&self) -> Arc<Hub> {
        Arc::clone(&self.taps)
    }
}

impl Live for LiveWorkers {
    fn drops(&self) -> Vec<DropRow> {
        let count = |reason| self.shared.counters.iter().map(|c| c.dropped(reason)).sum();
        let rows = DropReason::TABLE.iter().map(|row| DropRow {
            reason: format!("{:?}", row.reason),
            label: row.label.to_owned(),
            count: count(row.reason),
            sentence: row.sentence.to_owned(),
        });
        rows.collect()
    }

    fn conntrack(&self, limit: usize) -> Vec<ConntrackRow> {
        let mut rows = Vec::new();
        for (worker, commands) in self.commands.iter().enumerate() {
            let (answer, flows) = crossbeam_channel::bounded(1);
            let limit = limit.saturating_sub(rows.len());
            if limit == 0 || commands.send(Command::Flows { limit, answer }).is_err() {
                continue;
            }
            self.shared.wakers[worker].wake();
            let flows = flows.recv_timeout(PATIENCE).unwrap_or_default();
            rows.extend(flows.iter().map(|(flow, left)| row(worker, flow, *left)));
        }
        rows
    }

    fn flows(&self, show: &mut dyn FnMut(usize, u32, &Flow)) {
        for (worker, commands) in self.commands.iter().enumerate() {
            let mut page = Vec::with_capacity(FLOW_PAGE);
            let mut next = Some(0);
            while let Some(first) = next {
                let (answer, flows) = crossbeam_channel::bounded(1);
                let command = Command::FlowPage {
                    first,
                    page,
                    answer,
                };
                if commands.send(command).is_err() {
                    return;
                }
                self.shared.wakers[worker].wake();
                let Ok((filled, then)) = flows.recv_timeout(PATIENCE) else {
                    return;
                };
                filled
                    .iter()
                    .for_each(|(slot, flow)| show(worker, *slot, flow));
                (page, next) = (filled, then);
                page.clear();
            }
        }
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn port_counters(&self) -> Vec<PortCounters> {
        let mut rows: Vec<PortCounters> = self
            .registry
            .iter()
            .map(|port| {
                let sum = |pick: fn(&dataplane::PortCounters) -> u64| {
                    port.value().iter().map(|counters| pick(counters)).sum()
                };
                PortCounters {
                    interface: port.key().clone(),
                    rx_frames: sum(|c| c.rx_frames.get()),
                    rx_bytes: sum(|c| c.rx_bytes.get()),
                    tx_frames: sum(|c| c.tx_frames.get()),
                    tx_bytes: sum(|c| c.tx_bytes.get()),
                    tx_coalesced: sum(|c| c.tx_coalesced.get()),
                    drops: sum(|c| c.drops.total_from()),
                    missed: sum(|c| c.missed.get()),
                }
            })
            .collect();
        rows.sort_by(|a, b| a.interface.cmp(&b.interface));
        rows
    }

    fn port_drops(&self) -> Vec<PortDropRow> {
        let mut rows = Vec::new();
        for port in self.registry.iter() {
            let drops = || port.value().iter().map(|counters| &counters.drops);
            for reason in DropReason::TABLE.iter().map(|row| row.reason) {
                let from = drops().map(|drops| drops.from(reason).get()).sum();
                let toward = drops().map(|drops| drops.toward(reason).get()).sum();
                let counts: [(bool, u64); 2] = [(false, from), (true, toward)];
                let counts = counts.into_iter().filter(|(_, count)| *count > 0);
                rows.extend(counts.map(|(toward, count)| PortDropRow {
                    interface: port.key().clone(),
                    toward,
                    reason,
                    count,
                }));
            }
        }
        rows
    }

    fn workers(&self) -> Vec<WorkerReport> {
        let pairs = self.shared.used().zip(&self.shared.counters);
        let report =
            |((used, counters), load): ((Generation, &Arc<Counters>), &Load)| WorkerReport {
                generation: used.0.into(),
                counters: Arc::clone(counters),
                load: load.read(counters, self.clock),
            };
        pairs.zip(&self.loads).map(report).collect()
    }

    fn segmentation(&self) -> Segmentation {
        self.segmentation.segmentation()
    }

    fn relaying(&self) -> Relaying {
        self.relaying.state()
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        Some(Arc::clone(&self.shared.snapshot()))
    }

    fn excerpt(&self, worker: WorkerId, flow: Option<FlowKey>) -> Option<Excerpt> {
        let (answer, excerpt) = crossbeam_channel::bounded(1);
        let commands = self.commands.get(worker.index())?;
        commands.send(Command::Excerpt { flow, answer }).ok()?;
        self.shared.wakers[worker.index()].wake();
        excerpt.recv_timeout(PATIENCE).ok()
    }

    fn taps(&self) -> Vec<TapRow> {
        self.taps.rows()
    }

    fn tap_losses(&self) -> u64 {
        self.taps.lost()
    }
}

fn row(worker: usize, flow: &Flow, expires_seconds: u64) -> ConntrackRow {
    let key = flow.original();
    ConntrackRow {
        worker,
        protocol: key.protocol.to_string(),
        src: key.src,
        dst: key.dst,
        src_port: key.src_port,
        dst_port: if key.protocol == packet::Protocol::ICMP {
            0
        } else {
            key.dst_port
        },
        state: flow.state.to_string(),
        expires_seconds,
        packets: flow.packets.iter().sum(),
    }
}
