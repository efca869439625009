//! The flow table: open addressing over a slab, bounded, never rehashed.

use std::hint::black_box;
use std::num::NonZeroU16;

use packet::flow::FlowKey;

use super::flow::{Direction, Flow, FlowId};
use super::key::Key;
use super::lists::{Lists, NONE};
use super::state::{Refused, State, Timeouts, Transport};
use crate::ids::PortId;
use crate::time::Time;

/// A flow's timeout restarts at most this often, to spare the list writes.
const TOUCH_NANOS: u64 = 1_000_000_000;

/// The table is full and no flow in it may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The flows one worker knows.
#[derive(Debug)]
pub struct Conntrack {
    /// `hash << 32 | slot + 1`, 0 = empty; linear probing, at most half full.
    index: Box<[u64]>,
    flows: Vec<Flow>,
    /// Head of the chain of free slots, linked by `Flow::next`.
    free: u32,
    live: usize,
    capacity: usize,
    lists: Lists,
    timeouts: Timeouts,
    seed: [u64; 2],
    /// Lanes of flows that were forgotten, until they are taken.
    left: Vec<NonZeroU16>,
}

impl Conntrack {
    /// A table for at most `capacity` flows. Memory is reserved here and first
    /// touched as flows come: 16 to 32 bytes of index and 128 bytes a flow.
    /// `seed` must not be guessable by pods.
    pub fn new(capacity: usize, timeouts: Timeouts, seed: [u64; 2]) -> Self {
        let capacity = capacity.clamp(1, 1 << 28);
        let buckets = (capacity * 2).next_power_of_two();
        Self {
            index: vec![0; buckets].into_boxed_slice(),
            flows: Vec::with_capacity(capacity),
            free: NONE,
            live: 0,
            capacity,
            lists: Lists::default(),
            timeouts,
            seed,
            left: Vec::new(),
        }
    }

    /// Bytes reserved for flows and their index.
    pub fn state_bytes(&self) -> usize {
        size_of_val(&self.index[..]) + self.flows.capacity() * size_of::<Flow>()
    }

    /// The index has a power of two of entries.
    #[inline(always)]
    fn mask(&self) -> usize {
        self.index.len() - 1
    }

    /// How many flows are in the table.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The flow a packet with this key belongs to, and which way it goes.
    #[inline(always)]
    pub fn find(&self, key: &FlowKey) -> Option<(FlowId, Direction)> {
        let (key, from_low) = Key::of(key);
        let hash = key.hash(self.seed);
        let mut at = hash as usize & self.mask();
        loop {
            let entry = self.index[at];
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == hash {
                let slot = entry as u32 - 1;
                let flow = &self.flows[slot as usize];
                if flow.key == key {
                    let same = flow.from_low == from_low;
                    return Some((
                        FlowId(slot),
                        if same {
                            Direction::Original
                        } else {
                            Direction::Reply
                        },
                    ));
                }
            }
            at = (at + 1) & self.mask();
        }
    }

    /// The hash under which a flow with this key is looked up.
    #[inline(always)]
    pub(crate) fn hash(&self, key: &FlowKey) -> u32 {
        Key::of(key).0.hash(self.seed)
    }

    /// Reads what looking up flows with these hashes will read: first all places
    /// in the index, then all flows, so that no load waits for another.
    #[inline]
    pub(crate) fn bring_near(&self, hashes: &[u32]) {
        let mut read = 0;
        for hash in hashes {
            read ^= self.index[*hash as usize & self.mask()];
        }
        black_box(read);
        for hash in hashes {
            let places = (0..2).map(|step| self.index[(*hash as usize + step) & self.mask()]);
            let entry = places
                .into_iter()
                .find(|entry| (entry >> 32) as u32 == *hash);
            let slot = entry.map_or(0, |entry| entry as u32 as usize);
            if let Some(flow) = self.flows.get(slot.wrapping_sub(1)) {
                read ^= flow.key.low ^ flow.packets[0];
            }
        }
        black_box(read);
    }

    /// The flow with this id.
    #[inline(always)]
    pub fn flow(&mut self, id: FlowId) -> &mut Flow {
        &mut self.flows[id.0 as usize]
    }

    /// The flow with this id, to be looked at.
    pub(crate) fn peek(&self, id: FlowId) -> &Flow {
        &self.flows[id.0 as usize]
    }

    /// Takes in a copy of another table's flow, without its lanes, which stay
    /// that table's. The caller knows: there is room, and it is not there yet.
    pub(crate) fn adopt(&mut self, mut flow: Flow) {
        flow.lanes = [None; 2];
        let hash = flow.key.hash(self.seed);
        let slot = self.take_slot(flow);
        self.link_index(hash, slot);
        self.lists.push(&mut self.flows, slot);
        self.live += 1;
    }

    /// Whether [`Conntrack::insert`] finds no room.
    pub(crate) fn is_full(&self) -> bool {
        self.live >= self.capacity && self.victim().is_none()
    }

    /// Leaves no room beyond the flows that are there.
    pub(crate) fn close(&mut self) {
        self.capacity = self.live;
    }

    /// Adds the flow whose first packet is `key` with `transport`, which came
    /// in by `origin`. The caller has looked: it is not there yet. Says whether
    /// another flow was evicted for it.
    ///
    /// # Errors
    /// [`Full`] when no flow may be evicted; the outer error is a packet that
    /// can begin no flow.
    pub fn insert(
        &mut self,
        key: &FlowKey,
        transport: Transport,
        origin: PortId,
        now: Time,
    ) -> Result<Result<(FlowId, bool), Full>, Refused> {
        self.insert_telling(key, transport, origin, now, |_, _| {})
    }

    /// [`Conntrack::insert`]; `evicted_flow` is shown the flow that makes room.
    pub(crate) fn insert_telling(
        &mut self,
        key: &FlowKey,
        transport: Transport,
        origin: PortId,
        now: Time,
        mut evicted_flow: impl FnMut(FlowId, &Flow),
    ) -> Result<Result<(FlowId, bool), Full>, Refused> {
        let state = transport.first()?;
        let evicted = self.live >= self.capacity;
        if evicted {
            let Some(victim) = self.victim() else {
                return Ok(Err(Full));
            };
            evicted_flow(victim, &self.flows[victim.0 as usize]);
            self.remove(victim);
        }
        let (key, from_low) = Key::of(key);
        let slot = self.take_slot(Flow::new(key, from_low, origin, state, now));
        self.link_index(key.hash(self.seed), slot);
        self.lists.push(&mut self.flows, slot);
        self.live += 1;
        Ok(Ok((FlowId(slot), evicted)))
    }

    /// The flow if [`Conntrack::track`] would change nothing for this packet.
    #[inline(always)]
    pub fn unchanged(
        &mut self,
        id: FlowId,
        direction: Direction,
        transport: Transport,
        now: Time,
    ) -> Option<&mut Flow> {
        let flow = &mut self.flows[id.0 as usize];
        let is_unchanged = transport.is_one_more(flow.state, direction)
            && now.nanos_since(flow.touched) < TOUCH_NANOS;
        is_unchanged.then_some(flow)
    }

    /// Advances the flow's state by one packet, restarts its timeout and gives
    /// it back.
    ///
    /// # Errors
    /// [`Refused`] for a packet that cannot be part of it; nothing changes.
    pub fn track(
        &mut self,
        id: FlowId,
        direction: Direction,
        transport: Transport,
        now: Time,
    ) -> Result<&mut Flow, Refused> {
        let flow = &mut self.flows[id.0 as usize];
        let before = flow.state;
        let after = transport.next(before, direction, &mut flow.fins)?;
        if after != before || now.nanos_since(flow.touched) >= TOUCH_NANOS {
            self.requeue(id.0, after, now);
        }
        Ok(&mut self.flows[id.0 as usize])
    }

    /// Marks the flow as cut: from now on it has the timeout of that, and makes
    /// room for others if need be.
    pub fn cut(&mut self, id: FlowId, now: Time) {
        let flow = &mut self.flows[id.0 as usize];
        flow.before_cut = flow.state;
        self.requeue(id.0, State::Cut, now);
    }

    /// Puts a flow that was cut back where it was in its life.
    pub fn mend(&mut self, id: FlowId, now: Time) {
        self.requeue(id.0, self.flows[id.0 as usize].before_cut, now);
    }

    /// Restarts the flow's timeout, its state being what it is.
    pub fn touch(&mut self, id: FlowId, now: Time) {
        let flow = &self.flows[id.0 as usize];
        if now.nanos_since(flow.touched) >= TOUCH_NANOS {
            self.requeue(id.0, flow.state, now);
        }
    }

    /// Moves a flow to the young end of the list of its new state.
    #[inline(never)]
    fn requeue(&mut self, slot: u32, state: State, now: Time) {
        let flow = &mut self.flows[slot as usize];
        let before = std::mem::replace(&mut flow.state, state);
        flow.touched = now;
        self.lists.unlink(&mut self.flows, slot, before);
        self.lists.push(&mut self.flows, slot);
    }

    /// Forgets the flow.
    pub fn remove(&mut self, id: FlowId) {
        let slot = id.0;
        let Flow {
            key, state, lanes, ..
        } = self.flows[slot as usize];
        if lanes != [None; 2] {
            self.left.extend(lanes.into_iter().flatten());
        }
        self.lists.unlink(&mut self.flows, slot, state);
        self.unlink_index(key.hash(self.seed), slot);
        self.flows[slot as usize].next = self.free;
        self.flows[slot as usize].previous = slot; // marks the slot as free
        self.free = slot;
        self.live -= 1;
    }

    /// Forgets flows whose timeout has run out, at most `budget` of them, and
    /// says how many.
    pub fn expire(&mut self, now: Time, budget: usize) -> usize {
        self.expire_telling(now, budget, |_, _| {})
    }

    /// [`Conntrack::expire`]; `expired_flow` is shown each.
    pub(crate) fn expire_telling(
        &mut self,
        now: Time,
        budget: usize,
        mut expired_flow: impl FnMut(FlowId, &Flow),
    ) -> usize {
        let mut expired = 0;
        for state in State::ALL {
            let timeout = self.timeouts.of(state);
            while expired < budget
                && let Some(slot) = self.lists.oldest(state)
                && now.since(self.flows[slot as usize].touched) >= timeout
            {
                expired_flow(FlowId(slot), &self.flows[slot as usize]);
                self.remove(FlowId(slot));
                expired += 1;
            }
        }
        expired
    }

    /// Every flow, in no particular order. Linear in the table.
    pub fn iter(&self) -> impl Iterator<Item = &Flow> + '_ {
        let slots = self.flows.iter().enumerate();
        slots
            .filter(|(slot, flow)| flow.previous != *slot as u32)
            .map(|(_, flow)| flow)
    }

    /// From now on so many lanes can be left without an allocation.
    pub(crate) fn expect_lanes(&mut self, lanes: usize) {
        self.left.reserve(lanes);
    }

    /// The lanes of flows that were forgotten since the last call.
    pub(crate) fn take_left(&mut self) -> impl Iterator<Item = NonZeroU16> + '_ {
        self.left.drain(..)
    }

    /// How many slots have ever been used.
    pub(crate) fn slots(&self) -> usize {
        self.flows.len()
    }

    /// The flow with this id if there still is one.
    pub(crate) fn live(&self, id: FlowId) -> Option<&Flow> {
        self.in_slot(id.0 as usize).map(|(_, flow)| flow)
    }

    /// The flow in a slot, if one is there.
    pub(crate) fn in_slot(&self, slot: usize) -> Option<(FlowId, &Flow)> {
        let slot = slot as u32;
        let flow = self.flows.get(slot as usize)?;
        (flow.previous != slot).then_some((FlowId(slot), flow))
    }

    /// How long flows may stay.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The oldest flow without a reply, or the oldest of the others.
    fn victim(&self) -> Option<FlowId> {
        let oldest_of = |unreplied: bool| {
            State::ALL
                .into_iter()
                .filter(|state| state.is_evictable() && state.is_unreplied() == unreplied)
                .filter_map(|state| self.lists.oldest(state))
                .min_by_key(|slot| self.flows[*slot as usize].touched)
        };
        oldest_of(true).or_else(|| oldest_of(false)).map(FlowId)
    }

    fn take_slot(&mut self, flow: Flow) -> u32 {
        match self.free {
            NONE => {
                self.flows.push(flow);
                self.flows.len() as u32 - 1
            }
            slot => {
                self.free = self.flows[slot as usize].next;
                self.flows[slot as usize] = flow;
                slot
            }
        }
    }

    fn link_index(&mut self, hash: u32, slot: u32) {
        let mut at = hash as usize & self.mask();
        while self.index[at] != 0 {
            at = (at + 1) & self.mask();
        }
        self.index[at] = u64::from(hash) << 32 | u64::from(slot + 1);
    }

    /// Takes the slot out of the index and closes the gap, so that no probe
    /// sequence breaks (backward shift deletion, Knuth 6.4 algorithm R).
    fn unlink_index(&mut self, hash: u32, slot: u32) {
        let wanted = u64::from(hash) << 32 | u64::from(slot + 1);
        let mut gap = hash as usize & self.mask();
        while self.index[gap] != wanted {
            gap = (gap + 1) & self.mask();
        }
        let mut at = gap;
        loop {
            at = (at + 1) & self.mask();
            let entry = self.index[at];
            if entry == 0 {
                break;
            }
            let home = (entry >> 32) as usize & self.mask();
            if (at.wrapping_sub(home) & self.mask()) >= (at.wrapping_sub(gap) & self.mask()) {
                self.index[gap] = entry;
                gap = at;
            }
        }
        self.index[gap] = 0;
    }
}
