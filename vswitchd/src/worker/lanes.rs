//! One worker's lanes: directions of settled flows that the kernel relays (`port::Relay`).
//!
//! The life of a lane: a busy flow gets one, and its frames come marked with how many the kernel has seen before. When all
//! that it has seen have been sent on, the lane is opened: from then on the kernel relays, and the frames no longer come
//! here. So none overtakes another. The first that does come again means that the lane is closed: by the end of the
//! connection, by a newer snapshot, by a tap. Then what was relayed is counted, and the lane's place rests until no program
//! can be looking at it any more.

mod carrier;
mod closing;
mod lane;
mod shy;
mod tally;

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use dataplane::conntrack::{Direction, FlowId};
use dataplane::{Local, PortCounters, PortId, PortKind, Relayed, Snapshot, Time};
use packet::Frame;
use packet::ethernet::MacAddr;

use super::outbox::Outbox;
use super::unfit::Unfit;
pub(super) use carrier::Carrier;
use lane::{Lane, Mark, Stage};
use shy::Shy;
use tally::{Asked, Tally};

/// A lane is looked at this often: what it relayed is counted, and it ends if it may not go on.
const LOOK: Duration = Duration::from_secs(1);
/// Lanes looked at in one turn at most.
const LOOKS: usize = 128;
/// A lane that relayed nothing for so long ends; its flow stays.
const IDLE: Duration = Duration::from_secs(10);
/// How long a place rests between two lanes: far longer than a program runs.
const REST: Duration = Duration::from_secs(2);

/// The lanes of one worker.
pub(super) struct Lanes {
    relay: Arc<dyn Carrier>,
    tally: Arc<Tally>,
    unfit: Unfit,
    shy: Shy,
    /// The number of this worker's first place among those of all.
    first: u16,
    places: Vec<Option<Lane>>,
    /// How many lanes are not over.
    live: u64,
    free: Vec<u16>,
    resting: VecDeque<(Time, u16)>,
    /// When to look at which lane, the next first.
    looks: VecDeque<(Time, u16)>,
    /// Frames were watched in the last turn.
    is_watched: bool,
    /// Closed ones whose frames came in this turn.
    moved: Vec<u16>,
    busy: Vec<(FlowId, Direction)>,
    left: Vec<NonZeroU16>,
    /// By port: how many begin there.
    by_port: Vec<u16>,
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
    pub(super) fn new(relay: Arc<dyn Carrier>, unfit: Unfit, first: u16, count: u16) -> Self {
        let room = usize::from(count);
        Self {
            tally: Arc::new(Tally::new(Arc::clone(&relay), first, count)),
            relay,
            unfit,
            shy: Shy::new(),
            first,
            places: vec![None; room],
            live: 0,
            free: (0..count).rev().collect(),
            resting: VecDeque::with_capacity(room),
            looks: VecDeque::with_capacity(room),
            is_watched: false,
            moved: Vec::with_capacity(room),
            busy: Vec::with_capacity(256),
            left: Vec::with_capacity(room),
            by_port: Vec::new(),
            interfaces: Vec::new(),
        }
    }

    /// How the flow log learns what has just been relayed.
    pub(super) fn relayed(&self) -> Box<dyn Relayed> {
        Box::new(Asked(Arc::clone(&self.tally)))
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

    /// Takes a mark off, whoever it is of: a frame may have waited in a socket until its lane's place was another's, and of
    /// a first fragment the fan-out may find another worker. Only a lane that begins at this port hears of it. (A pod that
    /// marks its own frames has addressed them to its gateway.)
    #[inline(never)]
    fn unmark_one(
        &mut self,
        world: &Snapshot,
        from: PortId,
        frame: &mut Frame,
        desk: &mut Desk<'_>,
    ) {
        let (Some(mark), Some(address)) = (Mark::of(frame), address_of(world, from)) else {
            return;
        };
        mark.take_off(frame, address);
        let number = mark.place.wrapping_sub(self.first);
        let Some(Some(lane)) = self.places.get_mut(usize::from(number)) else {
            return;
        };
        if lane.from != from || !mark.is_of(lane) {
            return;
        }
        match lane.stage {
            Stage::Closed => {
                if lane.advance(mark.seen) && !lane.has_moved {
                    lane.has_moved = true;
                    self.moved.push(number);
                }
            }
            Stage::Open => {
                let (flow, is_its_own) = (lane.flow, lane.generation == world.generation);
                if is_its_own && !self.is_watched {
                    let whose = lane.spec.flow;
                    let relayed = self.relay.counts(mark.place).packets;
                    self.shy.closed(whose, relayed, desk.now);
                }
                self.end_both(flow, desk);
            }
            Stage::Ended => {}
        }
    }

    /// At the end of a turn, when its frames have been sent: begins lanes for busy flows, opens those that nothing is
    /// on the way for, and looks after the others. While frames are watched, none is begun or opened.
    pub(super) fn tend(&mut self, world: &Snapshot, is_watched: bool, mut desk: Desk<'_>) {
        let desk = &mut desk;
        self.is_watched = is_watched;
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
        if desk.local.lanes(flow)[direction as usize].is_some() {
            return None;
        }
        let wanted = desk.local.lane(world, flow, direction)?;
        if self.shy.waits(wanted.key, desk.now) {
            return None;
        }
        let interface = |port: PortId| self.interfaces.get(port.index()).copied().flatten();
        let interfaces = [interface(wanted.arrived_by)?, interface(wanted.to)?];
        let counters = [wanted.arrived_by, wanted.to].map(|port| desk.counters(port));
        let [Some(from), Some(to)] = counters else {
            return None;
        };
        if self.unfit.has(interfaces[1]) || !self.may_have_more(wanted.arrived_by) {
            return None;
        }
        let address = address_of(world, wanted.arrived_by)?;
        let number = self.free.pop()?;
        let before = self.places[usize::from(number)].as_ref();
        let mark = Mark::prefix(self.first + number, before, address);
        let whose = (flow, direction, world.generation);
        let lane = Lane::new(&wanted, whose, interfaces, mark, [from, to], desk.now);
        let lane = self.places[usize::from(number)].insert(lane);
        self.tally.begin(number, lane.spec.arrives);
        if let Err(error) = self.relay.prepare(self.first + number, &lane.spec) {
            tracing::debug!(%error, "no lane for a busy flow");
            self.over(number, desk.now);
            return None;
        }
        self.by_port[wanted.arrived_by.index()] += 1;
        let lane = NonZeroU16::new(number + 1);
        desk.local.set_lane(flow, direction, lane);
        self.looks.push_back((desk.now + LOOK, number));
        self.live += 1;
        desk.local.counters().lanes.set(self.live);
        Some(())
    }

    /// Half of all places at most are of lanes that begin at one port.
    fn may_have_more(&mut self, port: PortId) -> bool {
        if self.by_port.len() <= port.index() {
            self.by_port.resize(port.index() + 1, 0);
        }
        usize::from(self.by_port[port.index()]) * 2 < self.places.len()
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
    fn counters(&self, port: PortId) -> Option<Arc<PortCounters>> {
        let port = self.ports.get(port.index())?.as_ref()?;
        Some(Arc::clone(&port.counters))
    }
}
