//! One event of a flow.

use std::fmt;

use packet::flow::FlowKey;
use policy::{Direction, RuleRef};

use crate::ids::{Generation, PortId};
use crate::time::Time;

/// What decided, egress first; `None` where policy was not asked.
pub type Rules = [Option<RuleRef>; 2];

/// Where a worker's events go.
pub trait FlowLog: fmt::Debug + Send {
    /// Whether a flow may begin to be logged: there is room for its end, too.
    fn has_room(&self) -> bool;

    /// Takes an event; `false` = there is no room, and it is lost. Must neither
    /// block nor allocate.
    fn record(&mut self, event: FlowEvent) -> bool;
}

/// Something that happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowEvent {
    /// When.
    pub at: Time,
    /// The snapshot whose policy judged it: its table knows the rules.
    pub generation: Generation,
    /// The flow, as its first packet carried it; of a denied packet, as it does.
    pub key: FlowKey,
    /// What happened.
    pub news: FlowNews,
}

/// What happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FlowNews {
    /// It began, or went on after it had been cut.
    Begun {
        /// Its place in the worker's table until it ends.
        slot: u32,
        /// The port its first packet came in by.
        origin: PortId,
        /// What allowed it.
        rules: Rules,
    },
    /// It ended.
    Ended {
        /// Its place in the worker's table.
        slot: u32,
        /// When it began.
        began: Time,
        /// Packets, original direction first. A super-segment counts as one.
        packets: [u64; 2],
        /// Bytes, IP header included, original direction first.
        bytes: [u64; 2],
        /// Why.
        reason: EndReason,
    },
    /// Packets with this key were denied.
    Denied {
        /// Whose policy: the sender's egress, the receiver's ingress.
        direction: Direction,
        /// What denied them.
        rule: Option<RuleRef>,
        /// The port they came in by.
        from: PortId,
        /// How many that no earlier event tells of.
        packets: u64,
        /// Their bytes, IP header included.
        bytes: u64,
        /// When the first of them came.
        since: Time,
    },
    /// Packets of flows besides those that were denied by name were denied, too;
    /// the key means nothing.
    DeniedOthers {
        /// How many.
        packets: u64,
        /// Their bytes, IP header included.
        bytes: u64,
        /// Since when.
        since: Time,
    },
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// TCP: both ends closed it.
    Fin,
    /// TCP: one end reset it.
    Reset,
    /// It was silent for too long.
    Timeout,
    /// The table was full.
    Evicted,
    /// A newer policy denies it, by this rule.
    Cut(Direction, Option<RuleRef>),
    /// A pod at one end is gone.
    Orphaned,
    /// Another pod has the address now.
    Replaced,
}

impl EndReason {
    /// `snake_case`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Evicted => "evicted",
            Self::Cut(..) => "cut",
            Self::Orphaned => "orphaned",
            Self::Replaced => "replaced",
        }
    }
}
