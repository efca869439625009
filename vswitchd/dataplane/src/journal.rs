//! Events of flows: begun, ended, denied.
//!
//! A worker without a flow log writes none, and pays for it with a comparison
//! where a flow begins or ends. With one, each event is handed to it as it
//! happens: it must neither block nor allocate. An event it has no room for is
//! lost. A flow whose beginning was lost, or not sampled, is not logged at its
//! end either, so that every flow that was begun is ended once.

mod denials;
mod event;

use std::num::NonZeroU16;

use packet::flow::FlowKey;
use policy::Direction;

use crate::conntrack::{Flow, FlowId};
use crate::ids::{Generation, PortId};
use crate::time::Time;
use denials::Denials;
pub use event::{EndReason, FlowEvent, FlowLog, FlowNews, Rules};

/// How much of it all is written.
#[derive(Clone, Copy, Debug)]
pub struct JournalConfig {
    /// Of so many flows that begin, one is logged; 0 counts as 1.
    pub sample: u32,
    /// Packets of a flow that is denied are counted for so long, in nanoseconds.
    pub aggregate_nanos: u64,
}

/// Who forwards packets of flows besides the walk ([`crate::Lane`]), asked when a flow's end is written.
pub trait Relayed: Send + std::fmt::Debug {
    /// Packets and bytes of this lane that have not been credited to its flow yet
    /// ([`crate::Local::credit`]).
    fn uncredited(&self, lane: NonZeroU16) -> (u64, u64);
}

/// What a worker writes about its flows, if anything.
#[derive(Debug, Default)]
pub(crate) struct Journal(Option<Box<Writer>>);

#[derive(Debug)]
struct Writer {
    log: Box<dyn FlowLog>,
    config: JournalConfig,
    /// Flows begun since the last one that was logged.
    skipped: u32,
    denials: Denials,
    relayed: Option<Box<dyn Relayed>>,
}

/// A denied packet, as the journal is told of it.
pub(crate) struct DeniedPacket {
    pub(crate) key: FlowKey,
    /// A hash of the key.
    pub(crate) hash: u32,
    pub(crate) direction: Direction,
    /// The port it came in by.
    pub(crate) from: PortId,
    pub(crate) bytes: usize,
}

impl Journal {
    /// Writes to this log from now on.
    pub(crate) fn to(log: Box<dyn FlowLog>, config: JournalConfig) -> Self {
        Self(Some(Box::new(Writer {
            log,
            config,
            skipped: 0,
            denials: Denials::new(),
            relayed: None,
        })))
    }

    /// Counts what is relayed, too, when a flow's end is written.
    pub(crate) fn ask(&mut self, relayed: Box<dyn Relayed>) {
        if let Some(writer) = &mut self.0 {
            writer.relayed = Some(relayed);
        }
    }

    /// Whether anything is written.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A flow begins, or goes on after it was cut. It is then marked as logged,
    /// if it is.
    pub(crate) fn begun(&mut self, now: Time, id: FlowId, flow: &mut Flow, rules: Rules) {
        let Some(writer) = &mut self.0 else { return };
        writer.skipped += 1;
        if writer.skipped < writer.config.sample || !writer.log.has_room() {
            return;
        }
        writer.skipped = 0;
        flow.logged = writer.log.record(FlowEvent {
            at: now,
            generation: flow.judged,
            key: flow.original(),
            news: FlowNews::Begun {
                slot: id.slot(),
                origin: flow.origin,
                rules,
            },
        });
    }

    /// A flow ends; nothing is written of one that is not logged.
    #[inline(always)]
    pub(crate) fn ended(&mut self, now: Time, id: FlowId, flow: &mut Flow, reason: EndReason) {
        if flow.logged {
            flow.logged = false;
            self.write_end(now, id, flow, reason);
        }
    }

    /// [`Journal::ended`] of a flow that is no longer to be changed.
    pub(crate) fn removed(&mut self, now: Time, id: FlowId, flow: &Flow, reason: EndReason) {
        if flow.logged {
            self.write_end(now, id, flow, reason);
        }
    }

    #[cold]
    fn write_end(&mut self, now: Time, id: FlowId, flow: &Flow, reason: EndReason) {
        let Some(writer) = &mut self.0 else { return };
        let (packets, bytes) = writer.counts(flow);
        writer.log.record(FlowEvent {
            at: now,
            generation: flow.judged,
            key: flow.original(),
            news: FlowNews::Ended {
                slot: id.slot(),
                began: flow.began,
                packets,
                bytes,
                reason,
            },
        });
    }

    /// Policy denies a packet. The first of its key is written at once, with
    /// what `rule` says; the others are counted.
    pub(crate) fn denied(
        &mut self,
        now: Time,
        generation: Generation,
        packet: &DeniedPacket,
        rule: impl FnOnce() -> Option<policy::RuleRef>,
    ) {
        let Some(writer) = &mut self.0 else { return };
        if generation != writer.denials.generation {
            writer.close_interval(now, generation);
        }
        let Some(first) = writer.denials.count(now, packet, rule) else {
            return;
        };
        writer.log.record(first.event(now, generation));
    }

    /// Writes what was denied in an interval that is over, or under a
    /// generation that is; to be called between batches, before the generation
    /// in use is reported, since nobody may know the rules of earlier ones then.
    pub(crate) fn tick(&mut self, now: Time, generation: Generation) {
        let Some(writer) = &mut self.0 else { return };
        let is_over =
            now.nanos_since(writer.denials.interval_began) >= writer.config.aggregate_nanos;
        if is_over || generation != writer.denials.generation {
            writer.close_interval(now, generation);
        }
    }
}

impl Writer {
    /// Packets and bytes of a flow, those among them that its lanes have relayed just now.
    fn counts(&self, flow: &Flow) -> ([u64; 2], [u64; 2]) {
        let (mut packets, mut bytes) = (flow.packets, flow.bytes);
        if let Some(relayed) = &self.relayed {
            for (at, lane) in flow.lanes.iter().enumerate() {
                let (more, larger) = lane.map_or((0, 0), |lane| relayed.uncredited(lane));
                packets[at] += more;
                bytes[at] += larger;
            }
        }
        (packets, bytes)
    }

    #[cold]
    fn close_interval(&mut self, now: Time, generation: Generation) {
        let log = &mut self.log;
        self.denials.close(now, generation, |event| {
            log.record(event);
        });
    }
}

#[cfg(test)]
mod tests;
