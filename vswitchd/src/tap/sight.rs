//! What a tap notes about a frame besides its bytes.

use cni_shim::capture::Stage;
use dataplane::conntrack::State;
use dataplane::{DropReason, Generation, Note, PortId, Time};
use packet::Frame;
use packet::bpf::Pieces;
use policy::RuleRef;

use super::aim::Place;

/// Before a packet that has no link header.
const NO_LINK_IPV4: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00];
/// The same before an IPv6 packet.
const NO_LINK_IPV6: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd];

/// One frame at one stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sight {
    pub(super) time: Time,
    pub(super) stage: Stage,
    pub(super) port: PortId,
    /// The port is the one it leaves by, else the one it came by.
    pub(super) is_leaving: bool,
    /// The port it is to leave by, where that is another one and known.
    pub(super) toward: Option<PortId>,
    pub(super) reason: Option<DropReason>,
    pub(super) judged: Judged,
    /// L4 payload bytes of each segment of a super-segment, else 0.
    pub(super) gso_size: u16,
    /// Bytes of the whole frame.
    pub(super) wire_len: u32,
    /// Bytes that were copied.
    pub(super) captured: u32,
}

/// What conntrack and policy said on the walk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Judged {
    /// The rules are this generation's.
    pub(super) generation: Generation,
    pub(super) state: Option<State>,
    /// Of the source's egress, the destination's ingress.
    pub(super) said: [Option<Said>; 2],
}

/// One answer of policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Said {
    pub(super) direction: policy::Direction,
    pub(super) allowed: bool,
    pub(super) is_kept: bool,
    pub(super) rule: RuleRef,
}

impl Sight {
    /// Of a frame that nobody has judged, or not here.
    pub(super) fn new(time: Time, stage: Stage, port: PortId) -> Self {
        Self {
            time,
            stage,
            port,
            is_leaving: stage == Stage::Tx,
            toward: None,
            reason: None,
            judged: Judged::default(),
            gso_size: 0,
            wire_len: 0,
            captured: 0,
        }
    }
}

impl Sight {
    /// The ports it passes or is to pass.
    pub(super) fn place(&self) -> Place {
        match self.is_leaving {
            true => Place {
                came: None,
                leaves: Some(self.port),
            },
            false => Place {
                came: Some(self.port),
                leaves: self.toward,
            },
        }
    }
}

impl Judged {
    /// What a walk's notes say.
    pub(super) fn of(generation: Generation, notes: &[Note]) -> Self {
        let mut judged = Self {
            generation,
            ..Self::default()
        };
        for note in notes {
            match *note {
                Note::Known { state, .. } | Note::State(state) => judged.state = Some(state),
                Note::Policy {
                    direction,
                    verdict,
                    is_kept,
                    ..
                } => {
                    let said = Said {
                        direction,
                        allowed: verdict.allowed,
                        is_kept,
                        rule: verdict.rule,
                    };
                    if let Some(free) = judged.said.iter_mut().find(|said| said.is_none()) {
                        *free = Some(said);
                    }
                }
                _ => {}
            }
        }
        judged
    }
}

/// The frame's bytes, a header of zero addresses in the place of a missing link header.
pub(super) fn pieces<'a>(link: &'a [u8], packet: &'a [u8]) -> Pieces<'a> {
    let is_ipv6 = packet.first().is_some_and(|first| first >> 4 == 6);
    let link = match (link, is_ipv6) {
        ([], false) => &NO_LINK_IPV4,
        ([], true) => &NO_LINK_IPV6,
        (link, _) => link,
    };
    Pieces { link, packet }
}

/// [`pieces`] of a whole frame.
pub(super) fn pieces_of(frame: &Frame) -> Pieces<'_> {
    pieces(frame.link(), frame.packet())
}
