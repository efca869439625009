//! One worker: waits for frames, walks them, sends them.

mod orders;
mod relayed;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use dataplane::{
    Action, Arrived, DropReason, Event, Local, PortId, Punt, Snapshot, Time, cut_and_dress, forward,
};
use packet::Frame;
use port::RawIp;

use super::clock::Clock;
use super::closer::Closer;
use super::command::Command;
use super::inbox::{Handed, Inbox};
use super::lanes::Lanes;
use super::lookout::Lookout;
use super::outbox::{Outbox, Queued};
use super::segments;
use super::shaper::{Shaper, Verdict};
use super::shared::Shared;
use crate::tap::Taps;

/// Frames taken from a port before the next port's turn.
const BATCH: usize = 64;
/// Buffers of a worker besides those of the batch.
const POOL: usize = 512;
/// Hand-offs taken before the ports' turn.
const HANDED: usize = 64;
/// Places of the flow table shown at once.
pub(super) const FLOW_PAGE: usize = 1024;
/// An idle worker looks for expired flows this often.
const TICK: Duration = Duration::from_secs(1);
/// A worker with a full device looks again after this.
const FULL: Duration = Duration::from_millis(1);
/// The poller's token of the waker; ports use their id.
const WAKER: u64 = u64::MAX;
/// Set in the poller's token of a port's socket for what its other one does not hear.
const ASIDE: u64 = 1 << 32;

/// What a worker is made of.
pub(super) struct Parts {
    pub(super) index: usize,
    pub(super) local: Local,
    pub(super) shared: Arc<Shared>,
    pub(super) inboxes: Arc<[Inbox]>,
    pub(super) commands: Receiver<Command>,
    /// Where ports go that are served no more.
    pub(super) closer: Closer,
    pub(super) events: Sender<Event>,
    pub(super) raw: Arc<RawIp>,
    pub(super) clock: Clock,
    /// How long to look for more frames before sleeping.
    pub(super) spin: Duration,
    /// Directions of settled flows that the kernel relays, where it does.
    pub(super) lanes: Option<Lanes>,
}

/// A worker's thread.
pub(super) struct Worker {
    parts: Parts,
    lookout: Lookout,
    ports: Vec<Option<Outbox>>,
    /// Ports with frames to send.
    dirty: Vec<PortId>,
    batch: Vec<Frame>,
    pool: Vec<Frame>,
    shaper: Shaper,
    handed_to: Vec<bool>,
    ticked: Time,
    taps: Taps,
    lanes: Option<Lanes>,
    /// This turn has sent before its end, for want of buffers.
    flushed_early: bool,
    running: bool,
}

impl Worker {
    pub(super) fn new(mut parts: Parts) -> std::io::Result<Self> {
        let lookout = Lookout::new(parts.clock, parts.spin)?;
        lookout
            .poller
            .add(parts.shared.wakers[parts.index].fd(), WAKER)?;
        if let Some(lanes) = &parts.lanes {
            parts.local.note_busy_flows(lanes.capacity());
            parts.local.log_relayed(lanes.relayed());
        }
        let frames = |count| std::iter::repeat_with(Frame::new).take(count).collect();
        Ok(Self {
            lookout,
            ports: Vec::new(),
            dirty: Vec::with_capacity(64),
            batch: frames(BATCH),
            pool: frames(POOL),
            shaper: Shaper::new(),
            handed_to: vec![false; parts.inboxes.len()],
            ticked: Time::default(),
            taps: Taps::default(),
            lanes: parts.lanes.take(),
            flushed_early: false,
            running: true,
            parts,
        })
    }

    /// Serves until told to stop.
    pub(super) fn run(mut self) {
        while self.running {
            match self.turn() {
                0 => self.rest(),
                moved => self.lookout.glance(moved),
            }
        }
    }

    /// One turn: every ready port's batch under one snapshot. Says how many
    /// frames there were.
    fn turn(&mut self) -> usize {
        let shared = Arc::clone(&self.parts.shared);
        // Before the snapshot is taken: a later one wakes again.
        if self.lookout.is_ready(WAKER) {
            shared.wakers[self.parts.index].drain();
        }
        let world = shared.snapshot();
        let now = self.parts.clock.now();
        let mut moved = 0;
        // After the snapshot was taken: then a port it knows is open.
        self.obey();
        self.take_back();
        // Before newer frames, or the held ones would be overtaken.
        self.release(now);
        moved += self.take_handed(&world, now);
        for at in 0..self.lookout.len() {
            let token = self.lookout.token(at);
            if let Ok(port) = u16::try_from(token & !ASIDE) {
                moved += self.serve(&world, now, PortId(port), token & ASIDE != 0);
            }
        }
        self.flush();
        self.flushed_early = false;
        self.parts.local.expire(now);
        if now.since(self.ticked) >= TICK {
            self.ticked = now;
            self.parts.local.sweep(&world, now);
            let counters = self.parts.local.counters();
            for port in self.ports.iter_mut().flatten() {
                port.count_losses(counters);
            }
        }
        self.tend_lanes(&world, now);
        self.look_for_drops();
        for event in self.parts.local.take_events() {
            // The control plane may be slow; the same event comes again.
            let _ = self.parts.events.try_send(event);
        }
        self.parts.local.log_denied(now, world.generation);
        shared.report(self.parts.index, world.generation);
        moved
    }

    /// Waits for something to do.
    fn rest(&mut self) {
        let is_behind = !self.dirty.is_empty() || self.lanes_are_behind();
        let full = if is_behind { FULL } else { TICK };
        let next = self.shaper.next_in(self.parts.clock.now());
        let longest = next.map_or(full, |next| next.min(full));
        self.lookout.rest(longest, self.parts.local.counters());
    }

    /// Takes one batch from a port, or from the socket beside it, and walks its frames.
    fn serve(&mut self, world: &Snapshot, now: Time, id: PortId, aside: bool) -> usize {
        let Some(Some(port)) = self.ports.get_mut(id.index()) else {
            return 0;
        };
        let io = match (aside, &mut port.aside) {
            (false, _) => &mut port.io,
            (true, Some(aside)) => aside,
            (true, None) => return 0,
        };
        let mut batch = std::mem::take(&mut self.batch);
        let taken = match io.rx_batch(&mut batch) {
            Ok(taken) => taken,
            Err(error) => {
                port.complain(&self.lookout.poller, &error);
                0
            }
        };
        let counters = Arc::clone(&port.counters);
        let bytes: usize = batch[..taken].iter().map(|frame| frame.bytes().len()).sum();
        counters.rx_frames.add(taken as u64);
        counters.rx_bytes.add(bytes as u64);
        if port.is_relayed {
            self.unmark(world, now, id, &mut batch[..taken]);
        }
        self.parts.local.look_ahead(&batch[..taken]);
        if self.taps.may_see(id) {
            self.walk_watched(world, now, id, &mut batch[..taken]);
        } else {
            for frame in &mut batch[..taken] {
                let action = forward(world, &mut self.parts.local, now, id, frame);
                self.act(world, now, id, action, frame);
            }
        }
        self.batch = batch;
        taken
    }

    /// Goes on with frames that other workers took in.
    fn take_handed(&mut self, world: &Snapshot, now: Time) -> usize {
        let inboxes = Arc::clone(&self.parts.inboxes);
        let mut taken = 0;
        while taken < HANDED
            && let Some(Handed {
                mut frame,
                arrived,
                from,
            }) = inboxes[self.parts.index].pop()
        {
            taken += 1;
            let action = self.go_on(world, now, arrived, &mut frame);
            if matches!(self.ports.get(arrived.port.index()), Some(Some(_))) {
                self.act(world, now, arrived.port, action, &mut frame);
            }
            inboxes[from].give_back(frame);
        }
        taken
    }

    /// Takes in the buffers of frames that were handed to other workers.
    fn take_back(&mut self) {
        let inbox = &self.parts.inboxes[self.parts.index];
        while let Some(buffer) = inbox.take_back() {
            self.pool.push(buffer);
        }
    }

    /// Does what the walk decided. The frame's buffer is exchanged for an empty
    /// one where it goes away.
    fn act(
        &mut self,
        world: &Snapshot,
        now: Time,
        from: PortId,
        action: Action,
        frame: &mut Frame,
    ) {
        match action {
            Action::Transmit(to) => match self.shaper.judge(world, now, from, to, frame) {
                Verdict::Now => self.queue(from, to, frame),
                Verdict::At(departure) => {
                    if let Some(held) = self.exchange(from, frame) {
                        self.shaper.hold(departure, from, to, held);
                    }
                }
                Verdict::Never { by_receiver } => {
                    let toward = by_receiver.then_some(to);
                    self.lose(DropReason::BandwidthExceeded, from, toward, frame);
                }
            },
            Action::Punt(Punt::Worker(owner, arrived)) => self.hand(owner.index(), arrived, frame),
            Action::Punt(Punt::Kernel) => {
                let lost = segments::carry(&self.parts.raw, frame);
                let reason = DropReason::UnresolvedNextHop;
                self.parts.local.count_drops(reason, Some(from), None, lost);
                self.show_carried(lost == 0, from, frame);
            }
            Action::Punt(Punt::Cut(adjacency)) => {
                self.cut(world, now, from, adjacency, frame);
            }
            // A drop is counted where it arises.
            Action::Punt(Punt::Absorbed) | Action::Drop(_) => {}
        }
    }

    fn cut(
        &mut self,
        world: &Snapshot,
        now: Time,
        from: PortId,
        adjacency: dataplane::AdjacencyId,
        frame: &mut Frame,
    ) {
        let mut pieces = Vec::new();
        let pool = &mut self.pool;
        let cut = cut_and_dress(
            world,
            &mut self.parts.local,
            adjacency,
            frame,
            || pool.pop(),
            |piece, action| pieces.push((piece, action)),
        );
        // In all, it is counted already.
        if let (Err(reason), Some(Some(port))) = (cut, self.ports.get(from.index())) {
            port.counters.drops.from(reason).add(1);
        }
        if let Err(reason) = cut {
            self.show_loss(reason, from, None, frame);
        }
        for (mut piece, action) in pieces {
            self.act(world, now, from, action, &mut piece);
            self.pool.push(piece);
        }
    }

    /// Queues the frame at its port, leaving an empty buffer in its place.
    #[inline]
    fn queue(&mut self, from: PortId, to: PortId, frame: &mut Frame) {
        if self.ports.get(to.index()).is_none_or(Option::is_none) {
            return self.lose(DropReason::NoPort, from, None, frame);
        }
        if let Some(frame) = self.exchange(from, frame) {
            self.enqueue(from, to, frame);
        }
    }

    fn enqueue(&mut self, from: PortId, to: PortId, frame: Frame) {
        let Some(Some(port)) = self.ports.get_mut(to.index()) else {
            self.lose(DropReason::NoPort, from, None, &frame);
            return self.pool.push(frame);
        };
        match port.push(frame) {
            Queued::Waits if port.listed => {}
            Queued::Waits => {
                port.listed = true;
                self.dirty.push(to);
            }
            Queued::Joined(spare) => self.pool.push(spare),
            Queued::Full(frame) => {
                self.lose(DropReason::DeviceFull, from, Some(to), &frame);
                self.pool.push(frame);
            }
        }
    }

    fn hand(&mut self, owner: usize, arrived: Arrived, frame: &mut Frame) {
        let Some(frame) = self.exchange(arrived.port, frame) else {
            return;
        };
        let handed = Handed {
            frame,
            arrived,
            from: self.parts.index,
        };
        match self.parts.inboxes[owner].push(handed) {
            Ok(()) => self.handed_to[owner] = true,
            Err(frame) => {
                self.lose(DropReason::HandOffFull, arrived.port, None, &frame);
                self.pool.push(frame);
            }
        }
    }

    /// The frame, with an empty buffer left in its place. Buffers run out only
    /// when devices are full or limits hold many frames: then it is dropped.
    #[inline]
    fn exchange(&mut self, from: PortId, frame: &mut Frame) -> Option<Frame> {
        let spare = self.pool.pop().or_else(|| {
            if !std::mem::replace(&mut self.flushed_early, true) {
                self.flush();
            }
            self.pool.pop()
        });
        let Some(spare) = spare else {
            self.lose(DropReason::NoBuffer, from, None, frame);
            return None;
        };
        Some(std::mem::replace(frame, spare))
    }

    /// Queues what has waited for its bandwidth.
    fn release(&mut self, now: Time) {
        while let Some((from, to, frame)) = self.shaper.due(now) {
            self.enqueue(from, to, frame);
        }
    }

    /// Sends what is queued, and wakes the workers that frames were handed to.
    fn flush(&mut self) {
        self.lookout.expect(&self.dirty);
        let (clock, counters) = (self.parts.clock, self.parts.local.counters());
        let (ports, pool, taps) = (&mut self.ports, &mut self.pool, &mut self.taps);
        self.dirty.retain(|id| match &mut ports[id.index()] {
            Some(port) => {
                port.listed = port.flush(*id, clock, counters, pool, taps);
                port.listed
            }
            None => false,
        });
        for (owner, handed) in self.handed_to.iter_mut().enumerate() {
            if std::mem::take(handed) {
                self.parts.inboxes[owner].wake();
            }
        }
    }
}

#[cfg(test)]
mod tests;
