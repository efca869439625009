//! One worker's lanes: directions of settled flows that the kernel relays ([`port::Relay`]).
//!
//! The life of a lane: a busy flow gets one, and its frames come marked with how many the kernel has seen before. When all
//! that it has seen have been sent on, the lane is opened: from then on the kernel relays, and the frames no longer come
//! here. So none overtakes another. The first that does come again means that the lane is closed: by the end of the
//! connection, by a newer snapshot, by a tap. Then what was relayed is counted, and the lane's place rests until no program
//! can be looking at it any more.

mod lane;

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use dataplane::conntrack::{Direction, FlowId};
use dataplane::{DropReason, Local, PortId, PortKind, Snapshot, Time};
use packet::Frame;
use packet::ethernet::MacAddr;
use port::{Arrives, LaneSpec, Relay, RelayCounts};

use super::outbox::Outbox;
use lane::{Lane, Mark, News, Stage};

/// A lane is looked at this often: what it relayed is counted, and it ends if it may not go on.
const LOOK: Duration = Duration::from_secs(1);
/// Lanes looked at in one turn at most.
const LOOKS: usize = 128;
/// A lane that relayed nothing for so long ends; its flow stays.
const IDLE: Duration = Duration::from_secs(10);
/// How long a place rests between two lanes: far longer than a program runs.
const REST: Duration = Duration::from_secs(2);

/// Who relays: the kernel, or a test's picture of it. Places are those of all workers.
pub(super) trait Carrier: Send + Sync {
    /// See [`Relay::prepare`].
    fn prepare(&self, place: u16, spec: &LaneSpec) -> io::Result<()>;
    /// See [`Relay::remove`].
    fn remove(&self, spec: &LaneSpec) -> io::Result<()>;
    /// See [`Relay::open`].
    fn open(&self, place: u16, through: u64, generation: u32) -> bool;
    /// See [`Relay::close`].
    fn close(&self, place: u16);
    /// See [`Relay::counts`].
    fn counts(&self, place: u16) -> RelayCounts;
}

impl Carrier for Relay {
    fn prepare(&self, place: u16, spec: &LaneSpec) -> io::Result<()> {
        Self::prepare(self, place, spec)
    }

    fn remove(&self, spec: &LaneSpec) -> io::Result<()> {
        Self::remove(self, spec)
    }

    fn open(&self, place: u16, through: u64, generation: u32) -> bool {
        Self::open(self, place, through, generation)
    }

    fn close(&self, place: u16) {
        Self::close(self, place);
    }

    fn counts(&self, place: u16) -> RelayCounts {
        Self::counts(self, place)
    }
}

/// The lanes of one worker.
pub(super) struct Lanes {
    relay: Arc<dyn Carrier>,
    /// The number of this worker's first place among those of all.
    first: u16,
    places: Vec<Option<Lane>>,
    /// How many lanes are not over.
    live: u64,
    free: Vec<u16>,
    resting: VecDeque<(Time, u16)>,
    /// When to look at which lane, the next first.
    looks: VecDeque<(Time, u16)>,
    /// Closed ones whose frames came in this turn.
    moved: Vec<u16>,
    busy: Vec<(FlowId, Direction)>,
    left: Vec<NonZeroU16>,
    /// By port: the kernel's number of its interface, where the program is.
    interfaces: Vec<Option<u32>>,
}

/// What lanes touch of their worker.
pub(super) struct Desk<'a> {
    pub(super) local: &'a mut Local,
    pub(super) ports: &'a [Option<Outbox>],
    pub(super) now: Time,
}

impl Lanes {
    /// `count` places from `first` on.
    pub(super) fn new(relay: Arc<dyn Carrier>, first: u16, count: u16) -> Self {
        let room = usize::from(count);
        Self {
            relay,
            first,
            places: vec![None; room],
            live: 0,
            free: (0..count).rev().collect(),
            resting: VecDeque::with_capacity(room),
            looks: VecDeque::with_capacity(room),
            moved: Vec::with_capacity(room),
            busy: Vec::with_capacity(256),
            left: Vec::with_capacity(room),
            interfaces: Vec::new(),
        }
    }

    /// How many places there are.
    pub(super) fn capacity(&self) -> u16 {
        self.places.len() as u16
    }

    /// Frames of this port pass the program first; `None` = they do not.
    pub(super) fn set_interface(&mut self, port: PortId, interface: Option<u32>) {
        if self.interfaces.len() <= port.index() {
            self.interfaces.resize(port.index() + 1, None);
        }
        self.interfaces[port.index()] = interface;
    }

    /// Takes the marks off a batch that came by this port.
    #[inline]
    pub(super) fn unmark(
        &mut self,
        world: &Snapshot,
        from: PortId,
        frames: &mut [Frame],
        mut desk: Desk<'_>,
    ) {
        for frame in frames {
            if frame
                .link()
                .first()
                .copied()
                .is_some_and(lane::may_be_marked)
            {
                self.unmark_one(world, from, frame, &mut desk);
            }
        }
    }

    /// A frame whose mark is not of a lane that begins at its port stays as it is, and is dropped for its address. Of a
    /// first fragment the fan-out may find another worker than that of the lane, which only restores it.
    #[inline(never)]
    fn unmark_one(
        &mut self,
        world: &Snapshot,
        from: PortId,
        frame: &mut Frame,
        desk: &mut Desk<'_>,
    ) -> Option<()> {
        let mark = Mark::of(frame)?;
        let address = address_of(world, from)?;
        let number = mark.place.wrapping_sub(self.first);
        let Some(place) = self.places.get_mut(usize::from(number)) else {
            mark.take_off(frame, address);
            return None;
        };
        let lane = place.as_mut()?;
        if lane.from != from || !mark.is_of(lane) {
            return None;
        }
        mark.take_off(frame, address);
        match lane.stage {
            Stage::Closed => {
                if lane.advance(mark.seen) && !lane.has_moved {
                    lane.has_moved = true;
                    self.moved.push(number);
                }
            }
            Stage::Open => {
                let flow = lane.flow;
                self.end_both(flow, desk);
            }
            Stage::Ended => {}
        }
        None
    }

    /// At the end of a turn, when its frames have been sent: begins lanes for busy flows, opens those that nothing is
    /// on the way for, and looks after the others. While frames are watched, none is begun or opened.
    pub(super) fn tend(&mut self, world: &Snapshot, is_watched: bool, mut desk: Desk<'_>) {
        let desk = &mut desk;
        self.end_left(desk);
        while let Some(number) = self.moved.pop() {
            if let Some(lane) = &mut self.places[usize::from(number)] {
                lane.has_moved = false;
            }
            if !is_watched {
                self.try_to_open(number, world, desk);
            }
        }
        self.busy.clear();
        self.busy.extend(desk.local.take_busy());
        while let Some((flow, direction)) = self.busy.pop() {
            if !is_watched {
                self.begin(world, flow, direction, desk);
            }
        }
        for _ in 0..LOOKS {
            let Some((at, number)) = self.looks.front().copied() else {
                break;
            };
            if at > desk.now {
                break;
            }
            self.looks.pop_front();
            self.look_at(number, world, desk);
        }
        while let Some((since, number)) = self.resting.front().copied()
            && desk.now.since(since) >= REST
        {
            self.resting.pop_front();
            // What a program was at when the lane ended.
            self.count(number, desk);
            self.free.push(number);
        }
    }

    /// Whether there is more to look after than was done in one turn.
    pub(super) fn is_behind(&self, now: Time) -> bool {
        self.looks.front().is_some_and(|(at, _)| *at <= now)
    }

    /// Frames are watched from now on: the kernel relays none.
    pub(super) fn close_all(&mut self) {
        for (_, number) in &self.looks {
            self.relay.close(self.first + number);
        }
    }

    /// Counts what has been relayed so far.
    pub(super) fn count_all(&mut self, mut desk: Desk<'_>) {
        self.end_left(&mut desk);
        for at in 0..self.looks.len() {
            let (_, number) = self.looks[at];
            self.count(number, &mut desk);
        }
    }

    /// Ends the lanes of flows that have left the table: before anything is counted in the flows that took their places.
    fn end_left(&mut self, desk: &mut Desk<'_>) {
        self.left.clear();
        self.left.extend(desk.local.take_left());
        while let Some(lane) = self.left.pop() {
            let number = lane.get() - 1;
            if let Some(Some(lane)) = self.places.get_mut(usize::from(number)) {
                lane.is_orphan = true;
            }
            self.end(number, desk);
        }
    }

    /// Begins a lane, closed. Nothing, if the flow can have none or there are no more.
    fn begin(
        &mut self,
        world: &Snapshot,
        flow: FlowId,
        direction: Direction,
        desk: &mut Desk<'_>,
    ) -> Option<()> {
        let wanted = desk.local.lane(world, flow, direction)?;
        let interface = |port: PortId| self.interfaces.get(port.index()).copied().flatten();
        let (interface, to_interface) = (interface(wanted.arrived_by)?, interface(wanted.to)?);
        let number = self.free.pop()?;
        let place = self.first + number;
        let address = address_of(world, wanted.arrived_by)?;
        let before = self.places[usize::from(number)].as_ref();
        let serial = before.map_or(0, |lane| lane.spec.mark[3].wrapping_add(1));
        let lane = Lane {
            stage: Stage::Closed,
            flow,
            direction,
            is_orphan: false,
            from: wanted.arrived_by,
            to: wanted.to,
            generation: world.generation,
            spec: LaneSpec {
                interface,
                flow: wanted.key,
                arrives: match wanted.arrives {
                    dataplane::Arrives::Plain { link } => Arrives::Plain { link },
                    dataplane::Arrives::Tunnel { local, remote } => {
                        Arrives::Tunnel { local, remote }
                    }
                },
                to_interface,
                link: wanted.link,
                mtu_bytes: wanted.mtu_bytes,
                mark: Mark::prefix(place, serial, address),
            },
            through: 0,
            has_moved: false,
            used: desk.now,
            counted: RelayCounts::default(),
        };
        let prepared = self.relay.prepare(place, &lane.spec);
        self.places[usize::from(number)] = Some(lane);
        if let Err(error) = prepared {
            tracing::debug!(%error, "no lane for a busy flow");
            self.over(number, desk.now);
            return None;
        }
        let lane = NonZeroU16::new(number + 1);
        desk.local.set_lane(flow, direction, lane);
        self.looks.push_back((desk.now + LOOK, number));
        self.live += 1;
        desk.local.counters().lanes.set(self.live);
        Some(())
    }

    /// Opens a lane if all its frames have been sent on.
    fn try_to_open(&mut self, number: u16, world: &Snapshot, desk: &mut Desk<'_>) {
        let Some(lane) = &mut self.places[usize::from(number)] else {
            return;
        };
        if lane.stage != Stage::Closed {
            return;
        }
        if lane.generation != world.generation {
            return self.end(number, desk);
        }
        // Frames that wait for a full device must not be overtaken.
        let to = desk.ports.get(lane.to.index());
        if !matches!(to, Some(Some(port)) if !port.listed) {
            return;
        }
        let place = self.first + number;
        if self.relay.open(place, lane.through, lane.generation.0) {
            lane.stage = Stage::Open;
        }
    }

    /// Counts what a lane has relayed, and ends it if it may not go on, is not used, or could not be opened for so long.
    fn look_at(&mut self, number: u16, world: &Snapshot, desk: &mut Desk<'_>) {
        let stage = self.places[usize::from(number)].as_ref();
        let patience = match stage.map(|lane| lane.stage) {
            Some(Stage::Closed) => LOOK,
            Some(Stage::Open) => IDLE,
            Some(Stage::Ended) | None => return,
        };
        let has_news = self.count(number, desk);
        let Some(lane) = &mut self.places[usize::from(number)] else {
            return;
        };
        if has_news {
            lane.used = desk.now;
        }
        let may_go_on = lane.generation == world.generation
            && desk.now.since(lane.used) < patience
            && desk.local.may_go_on(world, lane.flow, lane.direction);
        match may_go_on {
            true => self.looks.push_back((desk.now + LOOK, number)),
            false => self.end(number, desk),
        }
    }

    /// Counts what a lane has relayed since it was last asked; true if that was anything.
    fn count(&mut self, number: u16, desk: &mut Desk<'_>) -> bool {
        let counts = self.relay.counts(self.first + number);
        let Some(Some(lane)) = self.places.get_mut(usize::from(number)) else {
            return false;
        };
        let Some(news) = lane.news(counts) else {
            return false;
        };
        if !lane.is_orphan {
            let (flow, direction) = (lane.flow, lane.direction);
            desk.local
                .credit(desk.now, flow, direction, news.frames, news.packet_bytes);
        }
        desk.count(lane.from, lane.to, &news);
        true
    }

    /// Ends the lanes of both directions, before a frame of theirs is walked: should the flow end with it, its counts are
    /// right.
    fn end_both(&mut self, flow: FlowId, desk: &mut Desk<'_>) {
        for lane in desk.local.lanes(flow).into_iter().flatten() {
            self.end(lane.get() - 1, desk);
        }
    }

    fn end(&mut self, number: u16, desk: &mut Desk<'_>) {
        let Some(Some(lane)) = self.places.get(usize::from(number)) else {
            return;
        };
        if lane.stage == Stage::Ended {
            return;
        }
        if !lane.is_orphan {
            desk.local.set_lane(lane.flow, lane.direction, None);
        }
        if let Err(error) = self.relay.remove(&lane.spec) {
            tracing::warn!(%error, "the key of a lane could not be deleted");
        }
        self.relay.close(self.first + number);
        self.count(number, desk);
        self.over(number, desk.now);
        self.live -= 1;
        desk.local.counters().lanes.set(self.live);
    }

    fn over(&mut self, number: u16, now: Time) {
        if let Some(lane) = &mut self.places[usize::from(number)] {
            lane.stage = Stage::Ended;
            lane.is_orphan = true;
        }
        self.resting.push_back((now, number));
    }
}

/// Where frames that come by a port are addressed to.
fn address_of(world: &Snapshot, port: PortId) -> Option<MacAddr> {
    match &world.port(port)?.kind {
        PortKind::Workload(pod) => Some(MacAddr(*pod.link.first_chunk()?)),
        PortKind::Uplink { mac } => Some(*mac),
        PortKind::Host => None,
    }
}

impl Desk<'_> {
    /// Counts frames that came by one port and left by another, or were lost between them.
    fn count(&self, from: PortId, to: PortId, news: &News) {
        let counters = |port: PortId| Some(&self.ports.get(port.index())?.as_ref()?.counters);
        if let Some(counters) = counters(from) {
            counters.rx_frames.add(news.frames + news.lost);
            counters.rx_bytes.add(news.rx_bytes);
        }
        if let Some(counters) = counters(to) {
            counters.tx_frames.add(news.frames);
            counters.tx_bytes.add(news.tx_bytes);
        }
        self.local.counters().relayed.add(news.frames);
        if news.lost > 0 {
            let reason = DropReason::DeviceError;
            self.local
                .count_drops(reason, Some(from), Some(to), news.lost);
        }
    }
}
