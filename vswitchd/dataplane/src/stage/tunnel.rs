//! Taking the outer header off: from known nodes only, and only what is theirs.

use packet::frame::Frame;
use packet::{Protocol, ipip, ipv4};

use super::{link, route};
use crate::adjacency::Adjacency;
use crate::drop_reason::DropReason;
use crate::ids::PeerId;
use crate::local::Local;
use crate::snapshot::Snapshot;
use crate::time::Time;

/// Strips a whole IPIP packet of a known node; the frame is then the inner
/// packet, whose header is returned.
pub(crate) fn strip(
    world: &Snapshot,
    frame: &mut Frame,
    outer: &ipv4::Header,
) -> Result<(PeerId, ipv4::Header), DropReason> {
    let peer = sender(world, outer)?;
    let inner = ipip::decapsulate(frame, outer).map_err(|error| match error {
        ipip::Error::EcnDrop => DropReason::DecapEcn,
        ipip::Error::Inner(_) => DropReason::DecapMalformed,
    })?;
    link::refuse_source_route(frame, &inner)?;
    Ok((peer, inner))
}

/// [`strip`] of a fragment. `None` when it waits for the rest of its packet.
pub(crate) fn strip_fragment(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    frame: &mut Frame,
    outer: &ipv4::Header,
) -> Result<Option<(PeerId, ipv4::Header)>, DropReason> {
    sender(world, outer)?;
    match local.reassembly.add(frame, outer, now)? {
        Some(whole) => strip(world, frame, &whole).map(Some),
        None => Ok(None),
    }
}

fn sender(world: &Snapshot, outer: &ipv4::Header) -> Result<PeerId, DropReason> {
    if outer.dst != world.node.address {
        return Err(DropReason::DecapNotForUs);
    }
    world.peer_at(outer.src).ok_or(DropReason::DecapUnknownNode)
}

/// The return route of the inner source must lead to the node that sent it.
pub(crate) fn verify_inner(
    world: &Snapshot,
    peer: PeerId,
    inner: &ipv4::Header,
) -> Result<(), DropReason> {
    if inner.protocol == Protocol::IPIP {
        return Err(DropReason::DecapNested);
    }
    match world.way_to_peer(inner.src) {
        Some(way) if way.peer == Some(peer) => Ok(()),
        _ => Err(DropReason::DecapSource),
    }
}

/// A packet on the uplink that is not IPIP: welcome only from a peer's
/// unencapsulated block, and not when it is for the host, whose kernel takes it
/// from the uplink itself.
pub(crate) fn verify_plain(world: &Snapshot, header: &ipv4::Header) -> Result<(), DropReason> {
    let is_plain = |way: &Adjacency| way.tunnel.is_none();
    let for_host = route::by_prefix(world, header.dst).is_ok_and(|id| world.adjacency(id).to_host);
    if for_host || !world.way_to_peer(header.src).is_some_and(is_plain) {
        return Err(DropReason::UplinkNotTunnel);
    }
    Ok(())
}
