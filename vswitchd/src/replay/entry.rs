//! By which port a captured frame comes.

use std::fmt;

use dataplane::{PortId, PortKind};
use packet::{Frame, Protocol, ipip, ipv4};

use crate::capture_file::Captured;
use crate::control::{Encapsulation, Peer};
use crate::trace::names::{Names, Place};
use crate::trace::probe::expected_link;

/// The stages that `vswitchctl capture` names its interfaces by. Only what came in is walked again.
const STAGES: [&str; 5] = [RX, "tx", "post-policy", "pre-encap", "drop"];
const RX: &str = "rx";

/// A frame at a port.
pub struct Entry {
    /// The port.
    pub port: PortId,
    /// The frame with the link header that the port expects: what MAC addresses a pod or a node has,
    /// files do not say.
    pub frame: Frame,
    /// How the port was found.
    pub rule: Rule,
}

/// How a frame's port was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// By the capture's interface, which `vswitchctl capture` names by port and stage.
    Interface,
    /// By its source address.
    Source,
    /// By its source address, which is another node's pod: with the outer header that its node puts
    /// on, since the capture has it without.
    SourceTunneled,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Interface => "by the interface's name",
            Self::Source => "by source address",
            Self::SourceTunneled => "by source address, another node's: outer header added",
        })
    }
}

/// Why a frame is not walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// ARP says MAC addresses, and files do not.
    Arp,
    /// Neither IPv4 nor ARP.
    NotIpv4,
    /// It was captured at a later stage than rx.
    LaterStage,
    /// This node itself sends it to another one.
    Leaving,
    /// It is between two that are not in a pool.
    Foreign,
    /// It comes from an address of this node's blocks that no pod has.
    NoPort,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Arp => "ARP: files do not say MAC addresses",
            Self::NotIpv4 => "not IPv4",
            Self::LaterStage => "captured at a later stage than rx",
            Self::Leaving => "sent by this node's own tunnel",
            Self::Foreign => "between two hosts outside all pools",
            Self::NoPort => "from an address of this node that no pod has",
        })
    }
}

/// The frame at the port it comes by.
///
/// # Errors
/// [`Unfit`]: it comes by none.
pub(super) fn of(names: &Names<'_>, captured: &Captured) -> Result<Entry, Unfit> {
    if captured.is_arp() {
        return Err(Unfit::Arp);
    }
    let frame = captured.frame(false);
    if !captured.is_ipv4() {
        return Err(Unfit::NotIpv4);
    }
    match captured
        .interface
        .as_deref()
        .and_then(|name| by_interface(names, name))
    {
        Some(Ok(port)) => Ok(at(names, port, frame, Rule::Interface)),
        Some(Err(unfit)) => Err(unfit),
        None => by_source(names, frame),
    }
}

/// The port and stage of an interface that `vswitchctl capture` has named; `None` for all others.
fn by_interface(names: &Names<'_>, name: &str) -> Option<Result<PortId, Unfit>> {
    let (owner, stage) = name.rsplit_once(':')?;
    let stage = STAGES.into_iter().find(|known| *known == stage)?;
    let port = names.port_named(owner).ok()?;
    Some(match stage {
        RX => Ok(port),
        _ => Err(Unfit::LaterStage),
    })
}

fn by_source(names: &Names<'_>, mut frame: Frame) -> Result<Entry, Unfit> {
    let header = ipv4::Header::parse_quoted(frame.packet()).map_err(|_| Unfit::NotIpv4)?;
    let node = names.desired.node.address.addr();
    let place = match header.protocol {
        Protocol::IPIP if header.src == node => return Err(Unfit::Leaving),
        Protocol::IPIP => return uplink(names, frame, Rule::Source),
        _ => names.place(header.src),
    };
    let in_pool = |address| {
        names
            .desired
            .pools
            .iter()
            .any(|pool| pool.cidr.contains(&address))
    };
    match place {
        Place::Outside if names.is_own(header.src) => Err(Unfit::NoPort),
        Place::Outside if !in_pool(header.src) && !in_pool(header.dst) => Err(Unfit::Foreign),
        Place::Peer(peer, Encapsulation::Ipip) => {
            encapsulate(names, peer, &mut frame);
            uplink(names, frame, Rule::SourceTunneled)
        }
        Place::Peer(_, Encapsulation::Plain) => uplink(names, frame, Rule::Source),
        place => {
            let port = names.port_of(&place).ok_or(Unfit::NoPort)?;
            Ok(at(names, port, frame, Rule::Source))
        }
    }
}

fn uplink(names: &Names<'_>, frame: Frame, rule: Rule) -> Result<Entry, Unfit> {
    let port = names.port_named("uplink").map_err(|_| Unfit::NoPort)?;
    Ok(at(names, port, frame, rule))
}

fn encapsulate(names: &Names<'_>, peer: &Peer, frame: &mut Frame) {
    let outer = ipip::Outer {
        src: peer.address.addr(),
        dst: names.desired.node.address.addr(),
        identification: 0,
    };
    ipip::encapsulate(frame, outer);
}

fn at(names: &Names<'_>, port: PortId, mut frame: Frame, rule: Rule) -> Entry {
    let kind = names.world.port(port).map(|port| &port.kind);
    if !matches!(kind, Some(PortKind::Host)) {
        frame.set_link(&expected_link(names, port));
    }
    Entry { port, frame, rule }
}
