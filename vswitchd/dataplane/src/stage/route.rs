//! Which way a packet goes.

use std::net::Ipv4Addr;

use crate::arrived::Arrived;
use crate::conntrack::Direction;
use crate::drop_reason::DropReason;
use crate::fib::Target;
use crate::ids::{AdjacencyId, PortId};
use crate::snapshot::{PortKind, Snapshot};

/// The way of a packet, given the port its flow came in by.
///
/// Replies to a flow that came from the host go back to the host, whatever the
/// routes say, so that NAT in the host (portmap, kube-proxy, masquerade) sees
/// both directions. Everything else goes by longest prefix; and what came from
/// the host is never given back to it, so nothing can loop.
pub(crate) fn choose(
    world: &Snapshot,
    arrived: &Arrived,
    origin: PortId,
    direction: Direction,
) -> Result<AdjacencyId, DropReason> {
    if direction == Direction::Reply && is_host(world, origin) && arrived.port != origin {
        return Ok(world.node.host);
    }
    let chosen = by_prefix(world, arrived.dst)?;
    if world.adjacency(chosen).to_host && is_host(world, arrived.port) {
        return Err(DropReason::NoRoute);
    }
    Ok(chosen)
}

/// The longest prefix's way to `destination`.
pub(crate) fn by_prefix(
    world: &Snapshot,
    destination: Ipv4Addr,
) -> Result<AdjacencyId, DropReason> {
    match world.fib.lookup(destination) {
        Some(Target::Adjacency(id)) => Ok(id),
        Some(Target::Drop(reason)) => Err(reason),
        None => Err(DropReason::NoRoute),
    }
}

/// The adjacency of the local workload with this address.
pub(crate) fn workload_at(world: &Snapshot, address: Ipv4Addr) -> Option<AdjacencyId> {
    let id = by_prefix(world, address).ok()?;
    world.workload(world.adjacency(id).port).map(|_| id)
}

fn is_host(world: &Snapshot, port: PortId) -> bool {
    world
        .port(port)
        .is_some_and(|port| matches!(port.kind, PortKind::Host))
}
