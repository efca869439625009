//! Denied packets of an interval, by flow.

use packet::flow::FlowKey;
use policy::{Direction, RuleRef};

use super::DeniedPacket;
use super::event::{FlowEvent, FlowNews};
use crate::ids::{Generation, PortId};
use crate::time::Time;

/// Flows told apart at once; a power of two. A scan has more: the others are
/// counted together.
const SLOTS: usize = 512;
/// Slots looked at for a flow.
const PROBES: usize = 8;

/// The denied packets of one flow that no event tells of yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Denial {
    key: FlowKey,
    direction: Direction,
    rule: Option<RuleRef>,
    from: PortId,
    packets: u64,
    bytes: u64,
    since: Time,
}

/// Those of all flows.
#[derive(Debug)]
pub(super) struct Denials {
    slots: Box<[Option<Denial>]>,
    used: usize,
    others: Others,
    /// The snapshot whose policy denied them.
    pub(super) generation: Generation,
    pub(super) interval_began: Time,
}

/// Packets of flows there was no slot for.
#[derive(Clone, Copy, Debug, Default)]
struct Others {
    packets: u64,
    bytes: u64,
}

impl Denials {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![None; SLOTS].into_boxed_slice(),
            used: 0,
            others: Others::default(),
            generation: Generation(0),
            interval_began: Time::default(),
        }
    }

    /// Counts a packet; gives it back, to be written, if it is its flow's first.
    pub(super) fn count(
        &mut self,
        now: Time,
        packet: &DeniedPacket,
        rule: impl FnOnce() -> Option<RuleRef>,
    ) -> Option<Denial> {
        let places = (0..PROBES).map(|step| (packet.hash as usize + step) & (SLOTS - 1));
        let mut free = None;
        for at in places {
            match &mut self.slots[at] {
                Some(denial) if denial.key == packet.key => {
                    denial.add(now, packet);
                    return None;
                }
                Some(_) => {}
                None => free = free.or(Some(at)),
            }
        }
        let Some(at) = free else {
            self.others.packets += 1;
            self.others.bytes += packet.bytes as u64;
            return None;
        };
        let first = Denial {
            key: packet.key,
            direction: packet.direction,
            rule: rule(),
            from: packet.from,
            packets: 1,
            bytes: packet.bytes as u64,
            since: now,
        };
        self.used += 1;
        self.slots[at] = Some(Denial {
            packets: 0,
            bytes: 0,
            ..first
        });
        Some(first)
    }

    /// Ends the interval: `tell` hears of every flow with packets that no event
    /// tells of. A flow without any is forgotten; all are when the generation is
    /// another, since its rules are others.
    pub(super) fn close(
        &mut self,
        now: Time,
        generation: Generation,
        mut tell: impl FnMut(FlowEvent),
    ) {
        let is_same = generation == self.generation;
        let mut left = self.used;
        for slot in &mut self.slots {
            if left == 0 {
                break;
            }
            let Some(denial) = slot else { continue };
            left -= 1;
            let has_news = denial.packets > 0;
            if has_news {
                tell(denial.event(now, self.generation));
                (denial.packets, denial.bytes) = (0, 0);
            }
            if !has_news || !is_same {
                *slot = None;
                self.used -= 1;
            }
        }
        let others = std::mem::take(&mut self.others);
        if others.packets > 0 {
            tell(others.event(now, self.generation, self.interval_began));
        }
        (self.generation, self.interval_began) = (generation, now);
    }
}

impl Denial {
    fn add(&mut self, now: Time, packet: &DeniedPacket) {
        if self.packets == 0 {
            self.since = now;
        }
        self.packets += 1;
        self.bytes += packet.bytes as u64;
    }

    pub(super) fn event(&self, now: Time, generation: Generation) -> FlowEvent {
        FlowEvent {
            at: now,
            generation,
            key: self.key,
            news: FlowNews::Denied {
                direction: self.direction,
                rule: self.rule,
                from: self.from,
                packets: self.packets,
                bytes: self.bytes,
                since: self.since,
            },
        }
    }
}

impl Others {
    fn event(self, now: Time, generation: Generation, since: Time) -> FlowEvent {
        let nobody = std::net::Ipv4Addr::UNSPECIFIED;
        FlowEvent {
            at: now,
            generation,
            key: FlowKey {
                src: nobody,
                dst: nobody,
                src_port: 0,
                dst_port: 0,
                protocol: packet::Protocol(0),
            },
            news: FlowNews::DeniedOthers {
                packets: self.packets,
                bytes: self.bytes,
                since,
            },
        }
    }
}
