//! What one worker remembers between packets.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::conntrack::{Conntrack, Flow, State, Timeouts};
use crate::counters::{Counters, PortCounters};
use crate::drop_reason::DropReason;
use crate::fragments::Fragments;
use crate::ids::{Generation, PeerId, PortId, WorkerId};
use crate::journal::{EndReason, FlowLog, Journal, JournalConfig, Relayed};
use crate::lane::Busy;
use crate::limiter::{Limiters, Purpose};
use crate::notebook::Observer;
use crate::reassembly::Reassembly;
use crate::sweep::Sweep;
use crate::time::Time;

/// Events kept until the worker takes them; more are not worth hearing.
const MAX_EVENTS: usize = 64;

/// Something the control plane should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The underlay carries no larger packet to this peer (RFC 1191).
    PathMtu {
        /// The node behind the narrow path.
        peer: PeerId,
        /// Its underlay address, to be safe against renumbered peers.
        address: Ipv4Addr,
        /// The largest outer packet, in bytes.
        mtu_bytes: u16,
    },
}

/// Sizes and secrets of a worker's state.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Which worker this is.
    pub worker: WorkerId,
    /// How many there are.
    pub workers: u16,
    /// Flows at most.
    pub max_flows: usize,
    /// Connection tracking's timeouts.
    pub timeouts: Timeouts,
    /// Unguessable, against hash flooding.
    pub seed: [u64; 2],
    /// Until then a TCP connection met in the middle may be either end's, as
    /// after a restart; later, only policy in the direction seen counts.
    pub pick_up_until: Time,
}

/// One worker's own state: no lock, no sharing.
#[derive(Debug)]
pub struct Local {
    pub(crate) worker: WorkerId,
    pub(crate) workers: u16,
    pub(crate) flows: Conntrack,
    pub(crate) fragments: Fragments,
    pub(crate) reassembly: Reassembly,
    pub(crate) pick_up_until: Time,
    pub(crate) identification: u16,
    pub(crate) sweep: Sweep,
    limiters: Vec<Limiters>,
    /// By port: what is counted there.
    ports: Vec<Option<Arc<PortCounters>>>,
    events: Vec<Event>,
    counters: Arc<Counters>,
    pub(crate) observer: Observer,
    pub(crate) journal: Journal,
    pub(crate) busy: Busy,
}

impl Local {
    /// Fresh state; `counters` is where others read what this worker counted.
    pub fn new(config: LocalConfig, counters: Arc<Counters>) -> Self {
        Self {
            worker: config.worker,
            workers: config.workers.max(1),
            flows: Conntrack::new(config.max_flows, config.timeouts, config.seed),
            fragments: Fragments::default(),
            reassembly: Reassembly::default(),
            pick_up_until: config.pick_up_until,
            identification: config.seed[0] as u16,
            sweep: Sweep::default(),
            limiters: Vec::new(),
            ports: Vec::new(),
            events: Vec::with_capacity(MAX_EVENTS),
            counters,
            observer: Observer::default(),
            journal: Journal::default(),
            busy: Busy::default(),
        }
    }

    /// What this worker counted.
    #[inline]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Writes the events of flows to this log from now on; flows that are there
    /// already are not logged.
    pub fn log_flows(&mut self, log: Box<dyn FlowLog>, config: JournalConfig) {
        self.journal = Journal::to(log, config);
    }

    /// What is relayed counts in the flow log, too; to be called after
    /// [`Local::log_flows`].
    pub fn log_relayed(&mut self, relayed: Box<dyn Relayed>) {
        self.journal.ask(relayed);
    }

    /// Writes what has been denied for long enough to the flow log, if there is
    /// one. To be called between batches, before `generation`, which is in use
    /// now, is reported: nobody may know the rules of an earlier one then.
    #[inline]
    pub fn log_denied(&mut self, now: Time, generation: Generation) {
        self.journal.tick(now, generation);
    }

    /// From now on drops of frames from and for this port are counted there,
    /// too; allocates.
    pub fn open_port(&mut self, port: PortId, counters: Arc<PortCounters>) {
        if self.ports.len() <= port.index() {
            self.ports.resize(port.index() + 1, None);
        }
        self.ports[port.index()] = Some(counters);
    }

    /// The port is closed.
    pub fn close_port(&mut self, port: PortId) {
        if let Some(counters) = self.ports.get_mut(port.index()) {
            *counters = None;
        }
    }

    /// Counts `n` frames dropped for `reason`: in all, at the port they came in
    /// by, and at the one they were for if they were dropped on its account.
    pub fn count_drops(
        &self,
        reason: DropReason,
        from: Option<PortId>,
        toward: Option<PortId>,
        n: u64,
    ) {
        self.counters.drop_many(reason, n);
        if let Some(port) = self.port(from) {
            port.drops.from(reason).add(n);
        }
        if let Some(port) = self.port(toward) {
            port.drops.toward(reason).add(n);
        }
    }

    fn port(&self, id: Option<PortId>) -> Option<&PortCounters> {
        self.ports.get(id?.index())?.as_deref()
    }

    /// Up to `limit` tracked flows, for people, each with the seconds it may
    /// still stay without a packet. Linear in the table.
    pub fn flows(&self, now: Time, limit: usize) -> Vec<(Flow, u64)> {
        let with_expiry = |flow: Flow| {
            let left = self
                .flows
                .timeouts()
                .of(flow.state)
                .saturating_sub(now.since(flow.touched()));
            (flow, left.as_secs())
        };
        self.flows
            .iter()
            .take(limit)
            .cloned()
            .map(with_expiry)
            .collect()
    }

    /// Flows in `slots` places of the table from `first` on, each with its place,
    /// appended to `page`. The place to go on from; `None` = that was all.
    pub fn flow_page(
        &self,
        first: usize,
        slots: usize,
        page: &mut Vec<(u32, Flow)>,
    ) -> Option<usize> {
        let end = first.saturating_add(slots).min(self.flows.slots());
        for slot in first..end {
            if let Some((id, flow)) = self.flows.in_slot(slot) {
                page.push((id.slot(), flow.clone()));
            }
        }
        (end < self.flows.slots()).then_some(end)
    }

    /// Forgets what has timed out; bounded work, to be called between batches.
    pub fn expire(&mut self, now: Time) {
        let journal = &mut self.journal;
        let expired = self.flows.expire_telling(now, 64, |id, flow| {
            // An end that only the last acknowledgement is missing of.
            let reason = match flow.state {
                State::LastAck => EndReason::Fin,
                _ => EndReason::Timeout,
            };
            journal.removed(now, id, flow, reason);
        });
        self.counters.flows_expired.add(expired as u64);
        self.count_flows();
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.events.drain(..)
    }

    pub(crate) fn tell(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS && !self.events.contains(&event) {
            self.events.push(event);
        }
    }

    pub(crate) fn count_flows(&self) {
        let flows = &self.counters.flows;
        flows.set(self.flows.len() as u64);
    }

    /// May one more answer be sent because of this port?
    pub(crate) fn may_answer(&mut self, port: PortId, purpose: Purpose, now: Time) -> bool {
        let wanted = port.index() + 1;
        if self.limiters.len() < wanted {
            self.limiters.resize(wanted, Limiters::default());
        }
        let limiter = self.limiters[port.index()].of(purpose);
        limiter.take(now, self.workers)
    }

    /// The next outer identification for `packets` tunnel packets. They are
    /// atomic datagrams (DF set), for which RFC 6864 section 4.1 leaves the
    /// value free; counting up is what lets the peer's GRO merge them.
    #[inline]
    pub(crate) fn next_identification(&mut self, packets: u16) -> u16 {
        let first = self.identification;
        self.identification = first.wrapping_add(packets);
        first
    }
}
