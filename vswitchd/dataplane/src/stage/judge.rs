//! Connection tracking and policy: may this packet pass, and which way?

use std::net::Ipv4Addr;

use packet::flow::FlowKey;
use packet::frame::Frame;
use policy::Direction as PolicyDirection;

use super::{Refusal, route};
use crate::arrived::Arrived;
use crate::conntrack::{Direction, FlowId, Refused, Transport};
use crate::drop_reason::DropReason;
use crate::ids::{AdjacencyId, PortId};
use crate::local::Local;
use crate::snapshot::{PortKind, Snapshot};
use crate::time::Time;

/// Decides about one packet: the way it goes, or why it does not.
///
/// A packet of a known flow whose decision is of this generation takes one
/// table lookup. Otherwise the long way: policy for a new flow or one that an
/// older generation allowed, then the route.
#[inline]
pub(crate) fn decide(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    frame: &Frame,
) -> Result<AdjacencyId, Refusal> {
    let flow = &arrived.flow;
    let bytes = frame.packet_len();
    match local.flows.find(&flow.key) {
        Some((id, quoted)) if flow.is_error => related(world, local, arrived, id, quoted),
        Some((id, _)) if flow.transport.opens() && local.flows.flow(id).state.is_over() => {
            local.flows.remove(id);
            begin(world, local, now, arrived, bytes)
        }
        Some((id, direction)) => known(world, local, now, arrived, id, direction, bytes),
        None if flow.is_error => Err(DropReason::IcmpUnrelated.into()),
        None => begin(world, local, now, arrived, bytes),
    }
}

/// A packet of a flow that is in the table.
#[inline]
fn known(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    id: FlowId,
    direction: Direction,
    bytes: usize,
) -> Result<AdjacencyId, Refusal> {
    if local.flows.flow(id).judged != world.generation {
        if is_inherited(world, local, id) {
            local.flows.remove(id);
            return begin(world, local, now, arrived, bytes);
        }
        judge_again(world, local, id);
    }
    if let Some(denied) = local.flows.flow(id).denied {
        if !arrived.flow.transport.opens() {
            return Err(denied.into());
        }
        local.flows.remove(id);
        return begin(world, local, now, arrived, bytes);
    }
    local
        .flows
        .track(id, direction, arrived.flow.transport, now)
        .map_err(|Refused| DropReason::TcpFlags)?;
    let flow = local.flows.flow(id);
    flow.count(direction, bytes);
    let origin = flow.origin;
    let way = flow.way(direction);
    if way.generation != world.generation || way.arrived_by != arrived.port {
        way.adjacency = route::choose(world, arrived, origin, direction)?;
        way.arrived_by = arrived.port;
        way.generation = world.generation;
    }
    Ok(way.adjacency)
}

/// The first packet of a flow.
fn begin(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    bytes: usize,
) -> Result<AdjacencyId, Refusal> {
    let flow = &arrived.flow;
    if !flow.may_begin {
        return Err(stray(flow.transport).into());
    }
    let key = original(world, local, now, arrived)?;
    let reversed = key != flow.key;
    let origin = if reversed {
        port_of(world, key.src)
    } else {
        arrived.port
    };
    let direction = if reversed {
        Direction::Reply
    } else {
        Direction::Original
    };
    let adjacency = route::choose(world, arrived, origin, direction)?;
    let (id, evicted) = local
        .flows
        .insert(&key, flow.transport, origin, now)
        .map_err(|Refused| DropReason::TcpFlags)?
        .map_err(|_| DropReason::ConntrackFull)?;
    let entry = local.flows.flow(id);
    (entry.born, entry.judged) = (world.generation, world.generation);
    entry.count(direction, bytes);
    let way = entry.way(direction);
    (way.adjacency, way.arrived_by, way.generation) = (adjacency, arrived.port, world.generation);
    local.counters().flows_created.add(1);
    local.counters().flows_evicted.add(evicted.into());
    Ok(adjacency)
}

/// Policy's word on a new flow. Shortly after a start, a TCP packet from the
/// middle of a connection may also be its other end's: the connection was
/// allowed before, and this is how it survives the restart.
fn original(
    world: &Snapshot,
    local: &Local,
    now: Time,
    arrived: &Arrived,
) -> Result<FlowKey, DropReason> {
    let flow = &arrived.flow;
    let forward = allowed(world, arrived.port, &flow.key, flow.icmp);
    let Err(denied) = forward else {
        return Ok(flow.key);
    };
    if flow.transport.is_midstream() && now < local.pick_up_until {
        let reversed = flow.key.reversed();
        if allowed(world, port_of(world, reversed.src), &reversed, None).is_ok() {
            return Ok(reversed);
        }
    }
    Err(denied)
}

/// The flow was that of an earlier pod with the same address.
fn is_inherited(world: &Snapshot, local: &mut Local, id: FlowId) -> bool {
    let flow = local.flows.flow(id);
    let (born, key) = (flow.born, flow.original());
    [key.src, key.dst].into_iter().any(|address| {
        let workload = route::workload_at(world, address)
            .and_then(|adjacency| world.workload(world.adjacency(adjacency).port));
        workload.is_some_and(|workload| workload.since > born)
    })
}

/// Judges a flow that an older snapshot judged by this one.
fn judge_again(world: &Snapshot, local: &mut Local, id: FlowId) {
    let flow = local.flows.flow(id);
    let (key, origin, before) = (flow.original(), flow.origin, flow.denied);
    let icmp = (key.protocol == packet::Protocol::ICMP).then_some((key.dst_port as u8, 0));
    let denied = allowed(world, origin, &key, icmp).err();
    let flow = local.flows.flow(id);
    (flow.judged, flow.denied) = (world.generation, denied);
    if denied.is_some() && before.is_none() {
        local.counters().flows_cut.add(1);
    }
}

/// Egress of the source and ingress of the destination, as far as they are
/// pods of this node; also where the host's NAT (hostPort, a service) has led a
/// pod's packet back here. What the host sends from an address of its own is not
/// policed on the way in (kubelet probes); what it forwards for others is.
fn allowed(
    world: &Snapshot,
    origin: PortId,
    key: &FlowKey,
    icmp: Option<(u8, u8)>,
) -> Result<(), DropReason> {
    let judge = |direction, subject: Ipv4Addr, peer: Ipv4Addr| {
        let flow = policy::Flow {
            subject: subject.into(),
            peer: peer.into(),
            protocol: key.protocol.0,
            dst_port: key.dst_port,
            icmp,
        };
        world.policy.verdict(direction, &flow).allowed
    };
    let from_workload =
        world.workload(origin).is_some() || route::workload_at(world, key.src).is_some();
    if from_workload && !judge(PolicyDirection::Egress, key.src, key.dst) {
        return Err(DropReason::PolicyEgress);
    }
    let to_workload = route::workload_at(world, key.dst).is_some();
    let from_own_host = !from_workload
        && world.node.local_addresses.contains(&key.src)
        && matches!(world.port(origin), Some(port) if matches!(port.kind, PortKind::Host));
    if to_workload && !from_own_host && !judge(PolicyDirection::Ingress, key.dst, key.src) {
        return Err(DropReason::PolicyIngress);
    }
    Ok(())
}

/// An ICMP error about a known flow passes as related, toward the sender of
/// the packet it quotes: the way opposite to that packet's.
fn related(
    world: &Snapshot,
    local: &mut Local,
    arrived: &Arrived,
    id: FlowId,
    quoted: Direction,
) -> Result<AdjacencyId, Refusal> {
    if local.flows.flow(id).judged != world.generation {
        if is_inherited(world, local, id) {
            local.flows.remove(id);
            return Err(DropReason::IcmpUnrelated.into());
        }
        judge_again(world, local, id);
    }
    if let Some(denied) = local.flows.flow(id).denied {
        return Err(denied.into());
    }
    if arrived.header.dst != arrived.flow.key.src {
        return Err(DropReason::IcmpUnrelated.into());
    }
    let origin = local.flows.flow(id).origin;
    Ok(route::choose(world, arrived, origin, quoted.opposite())?)
}

/// The port a workload's packets come in by; the host's for everyone else.
fn port_of(world: &Snapshot, address: Ipv4Addr) -> PortId {
    let adjacency = route::workload_at(world, address).unwrap_or(world.node.host);
    world.adjacency(adjacency).port
}

fn stray(transport: Transport) -> DropReason {
    match transport {
        Transport::Icmp => DropReason::IcmpUnrelated,
        _ => DropReason::FragmentWithoutFirst,
    }
}
