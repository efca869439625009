//! What a stage found.

use std::net::Ipv4Addr;

use packet::flow::FlowKey;
use packet::icmpv4::Message;
use policy::Verdict;

use crate::action::Action;
use crate::adjacency::Tunnel;
use crate::conntrack::{Direction, State};
use crate::drop_reason::DropReason;
use crate::ids::{AdjacencyId, Generation, PeerId, PortId, WorkerId};

/// What one stage found. Ids mean what the walk's snapshot says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    /// A pod asked who has `target` and was told ee:ee:ee:ee:ee:ee.
    ArpAnswered {
        /// The address it asked for.
        target: Ipv4Addr,
    },
    /// The outer header came off.
    Decapsulated {
        /// The node that put it on.
        peer: PeerId,
    },
    /// The underlay reported a narrow path to this node.
    PathMtu {
        /// The node behind it.
        peer: PeerId,
        /// Bytes of the largest outer packet.
        mtu_bytes: u16,
    },
    /// The source is who it says it is.
    SourceVerified {
        /// The port the packet came in by.
        port: PortId,
        /// The node whose tunnel it came by, if any.
        peer: Option<PeerId>,
        /// Its source address.
        src: Ipv4Addr,
    },
    /// Which flow the packet belongs to.
    Flow {
        /// As the packet carries it; for an ICMP error as the packet carries it
        /// that it quotes. For ICMP queries: see [`crate::Arrived`].
        key: FlowKey,
        /// The packet is an ICMP error about that flow.
        is_error: bool,
        /// The worker that knows the flow.
        owner: WorkerId,
    },
    /// Another worker goes on here.
    Resumed {
        /// The port the packet came in by.
        port: PortId,
    },
    /// Conntrack knows the flow.
    Known {
        /// Its state before this packet.
        state: State,
        /// Which way the packet goes.
        direction: Direction,
        /// The generation whose policy last judged it.
        judged: Generation,
    },
    /// Conntrack does not know it (any more): the packet begins it.
    New {
        /// TCP from the middle of a connection: policy is asked both ways, since
        /// nobody knows which end began it.
        is_midstream: bool,
        /// One end's permission is enough: the node has just started.
        either_end: bool,
    },
    /// Conntrack forgot the flow it knew.
    Forgotten(Forgotten),
    /// A flow that an older generation judged is judged again.
    JudgedAgain,
    /// Policy's answer for one end. An answer does not decide alone: see
    /// [`Note::New`], and `is_kept`.
    Policy {
        /// Egress of the source, or ingress of the destination.
        direction: policy::Direction,
        /// The flow it was asked about, as its first packet carries it.
        key: FlowKey,
        /// The answer; [`policy::Table::describe`] names its rule.
        verdict: Verdict,
        /// Denied, but the flow was there before and is kept.
        is_kept: bool,
    },
    /// The flow stays cut for this reason; policy was not asked again.
    StaysCut(DropReason),
    /// The packet is an ICMP error about a known flow and passes as such.
    Related,
    /// The flow's state after this packet.
    State(State),
    /// Which way the packet goes.
    Route {
        /// Its destination.
        dst: Ipv4Addr,
        /// The rewrite toward the next hop.
        adjacency: AdjacencyId,
        /// How that was found.
        choice: Choice,
    },
    /// The hop, if this node takes one.
    Ttl {
        /// The TTL that the packet came with.
        before: u8,
        /// Whether one is taken off.
        takes_hop: bool,
    },
    /// Compared with the way's MTU.
    Mtu {
        /// Bytes of the largest packet there will be on the wire, without the
        /// outer header: of a super-segment its largest segment.
        wire_len: usize,
        /// The most that fits, without the outer header.
        mtu_bytes: u16,
    },
    /// An outer header goes on.
    Encapsulated {
        /// The node at the other end.
        peer: Option<PeerId>,
        /// The outer addresses.
        tunnel: Tunnel,
    },
    /// The frame goes no further. It is counted in this row.
    Refused(DropReason),
    /// What takes the place of a refused packet, on its way back.
    Answered(Told),
    /// How the walk ended: always the last note.
    Ended(Action),
}

/// Why conntrack forgot a flow it knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It was over, and this packet begins a new one.
    Over,
    /// It was that of an earlier pod with the same address.
    Inherited,
    /// It was cut, and policy allows the new one that this packet begins.
    Cut,
}

/// How a way was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// By longest prefix, or because the host began the flow.
    Looked,
    /// The flow remembers it from this generation.
    Remembered,
}

/// What the sender of a refused packet is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// An ICMP error.
    Error(Message),
    /// A TCP reset.
    Reset,
    /// Nothing: the port has caused too many answers.
    Limited,
}
