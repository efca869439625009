//! Connection tracking and policy: may this packet pass, and which way?

use std::net::Ipv4Addr;

use packet::flow::FlowKey;

use super::policy::{self, Question, Standing};
use super::{Refusal, log, route};
use crate::arrived::Arrived;
use crate::conntrack::{Direction, FlowId, Refused, Transport, Way};
use crate::denied::Denied;
use crate::drop_reason::DropReason;
use crate::ids::{AdjacencyId, PortId};
use crate::journal::EndReason;
use crate::local::Local;
use crate::notebook::{Choice, Forgotten, Note};
use crate::snapshot::Snapshot;
use crate::time::Time;

/// Decides about one packet: the way it goes, or why it does not. Policy for a
/// new flow or one that an older generation allowed, then the route.
pub(crate) fn decide(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    bytes: usize,
) -> Result<AdjacencyId, Refusal> {
    local.observer.rules = [None; 2];
    let way = find_way(world, local, now, arrived, bytes);
    if let Err(refusal) = &way
        && local.journal.is_on()
    {
        log::denied(world, local, now, arrived, bytes, refusal);
    }
    way
}

fn find_way(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    bytes: usize,
) -> Result<AdjacencyId, Refusal> {
    let flow = &arrived.flow;
    match local.flows.find(&flow.key) {
        Some((id, quoted)) if flow.is_error => related(world, local, now, arrived, id, quoted),
        Some((id, _)) if flow.transport.opens() && local.flows.flow(id).state.is_over() => {
            original(world, local, now, arrived)?;
            forget(local, now, id, Forgotten::Over);
            begin(world, local, now, arrived, bytes)
        }
        Some((id, direction)) => known(world, local, now, arrived, id, direction, bytes),
        None if flow.is_error => Err(DropReason::IcmpUnrelated.into()),
        None => begin(world, local, now, arrived, bytes),
    }
}

/// A packet of a flow that is in the table.
fn known(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    id: FlowId,
    direction: Direction,
    bytes: usize,
) -> Result<AdjacencyId, Refusal> {
    write_known(local, id, direction);
    if local.flows.flow(id).judged != world.generation {
        if is_inherited(world, local, id) {
            forget(local, now, id, Forgotten::Inherited);
            return begin(world, local, now, arrived, bytes);
        }
        judge_again(world, local, now, id);
    }
    if let Some(denied) = local.flows.flow(id).denied {
        let begins = match arrived.flow.transport.opens() {
            true => original(world, local, now, arrived),
            false => Err(denied),
        };
        if let Err(denied) = begins {
            local.flows.touch(id, now);
            local.observer.note(|| Note::StaysCut(denied.reason));
            return Err(denied.into());
        }
        forget(local, now, id, Forgotten::Cut);
        return begin(world, local, now, arrived, bytes);
    }
    if local.flows.flow(id).kept && arrived.flow.transport.opens() {
        original(world, local, now, arrived)?;
    }
    let flow = local
        .flows
        .track(id, direction, arrived.flow.transport, now)
        .map_err(|Refused| DropReason::TcpFlags)?;
    flow.count(direction, bytes);
    log::if_over(&mut local.journal, now, id, flow);
    local.observer.note(|| Note::State(flow.state));
    let origin = flow.origin;
    let way = flow.way(direction);
    let from = (arrived.port, arrived.sent_by);
    let is_old = way.generation != world.generation || (way.arrived_by, way.sent_by) != from;
    if is_old {
        let adjacency = route::choose(world, arrived, origin, direction)?;
        *way = settle(world, arrived, adjacency);
    }
    let adjacency = way.adjacency;
    let choice = match is_old {
        true => Choice::Looked,
        false => Choice::Remembered,
    };
    write_route(local, arrived, adjacency, choice);
    Ok(adjacency)
}

fn write_known(local: &mut Local, id: FlowId, direction: Direction) {
    let flow = local.flows.flow(id);
    local.observer.note(|| Note::Known {
        state: flow.state,
        direction,
        judged: flow.judged,
    });
}

fn write_route(local: &mut Local, arrived: &Arrived, adjacency: AdjacencyId, choice: Choice) {
    local.observer.note(|| Note::Route {
        dst: arrived.dst,
        adjacency,
        choice,
    });
}

fn forget(local: &mut Local, now: Time, id: FlowId, why: Forgotten) {
    let flow = local.flows.flow(id);
    local.journal.ended(now, id, flow, EndReason::Replaced);
    local.flows.remove(id);
    local.observer.note(|| Note::Forgotten(why));
}

/// The decision about packets like this one, until the next generation.
fn settle(world: &Snapshot, arrived: &Arrived, adjacency: AdjacencyId) -> Way {
    Way {
        adjacency,
        arrived_by: arrived.port,
        sent_by: arrived.sent_by,
        generation: world.generation,
    }
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
    local.observer.note(|| Note::New {
        is_midstream: flow.transport.is_midstream(),
        either_end: now < local.pick_up_until,
    });
    let key = original(world, local, now, arrived)?;
    let reversed = key != flow.key;
    let origin = match reversed {
        true => port_of(world, key.src).ok_or(DropReason::NoRoute)?,
        false => arrived.port,
    };
    let direction = if reversed {
        Direction::Reply
    } else {
        Direction::Original
    };
    let adjacency = route::choose(world, arrived, origin, direction)?;
    let journal = &mut local.journal;
    let (id, evicted) = local
        .flows
        .insert_telling(&key, flow.transport, origin, now, |id, flow| {
            journal.removed(now, id, flow, EndReason::Evicted);
        })
        .map_err(|Refused| DropReason::TcpFlags)?
        .map_err(|_| DropReason::ConntrackFull)?;
    let entry = local.flows.flow(id);
    (entry.born, entry.judged) = (world.generation, world.generation);
    entry.icmp_code = flow.icmp.map_or(0, |(_, code)| code);
    entry.count(direction, bytes);
    if journal.is_on() {
        journal.begun(now, id, entry, local.observer.rules);
        log::if_over(journal, now, id, entry);
    }
    local.observer.note(|| Note::State(entry.state));
    *entry.way(direction) = settle(world, arrived, adjacency);
    local.counters().flows_created.add(1);
    local.counters().flows_evicted.add(evicted.into());
    write_route(local, arrived, adjacency, Choice::Looked);
    Ok(adjacency)
}

/// Policy's word on a new flow, as its first packet would have carried it. Which
/// end began a connection that is met in the middle nobody knows: either of them
/// must be allowed to have. Shortly after a start, one of them is enough: the
/// connection was allowed before, and this is how it survives the restart.
fn original(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
) -> Result<FlowKey, Denied> {
    let flow = &arrived.flow;
    let ask = |local: &mut Local, key, origin, icmp| {
        let question = Question {
            key,
            origin,
            icmp,
            is_established: false,
        };
        policy::ask(world, &mut local.observer, &question)
    };
    let seen = ask(local, &flow.key, arrived.port, flow.icmp).map(|_| flow.key);
    if !flow.transport.is_midstream() {
        return seen;
    }
    let rules = local.observer.rules;
    let reversed = flow.key.reversed();
    // Nobody there who could have begun it; the route will say so.
    let Some(port) = port_of(world, reversed.src) else {
        return seen;
    };
    let other = ask(local, &reversed, port, None).map(|_| reversed);
    let decided = match now < local.pick_up_until {
        true => seen.or(other.or(seen)),
        false => other.and(seen),
    };
    // Those of the question whose answer this is.
    if decided == seen {
        local.observer.rules = rules;
    }
    decided
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

/// Judges a flow that an older snapshot judged by this one. One that is denied
/// now is cut, unless the policy that denies it keeps what it had allowed; one
/// that was cut is not revived by a policy that would have kept it.
fn judge_again(world: &Snapshot, local: &mut Local, now: Time, id: FlowId) {
    let flow = local.flows.flow(id);
    let (key, was_cut, was_kept) = (flow.original(), flow.denied.is_some(), flow.kept);
    let icmp = (key.dst_port as u8, flow.icmp_code);
    let question = Question {
        key: &key,
        origin: flow.origin,
        icmp: (key.protocol == packet::Protocol::ICMP).then_some(icmp),
        is_established: !was_cut,
    };
    local.observer.note(|| Note::JudgedAgain);
    let standing = policy::ask(world, &mut local.observer, &question);
    let is_kept = standing == Ok(Standing::Kept);
    flow.judged = world.generation;
    (flow.denied, flow.kept) = (standing.err(), is_kept);
    match (was_cut, standing.is_err()) {
        (false, true) => {
            log::cut(local, now, id);
            local.flows.cut(id, now);
        }
        (true, false) => {
            local.flows.mend(id, now);
            log::mended(local, now, id);
        }
        _ => {}
    }
    let counters = local.counters();
    counters
        .flows_cut
        .add((standing.is_err() && !was_cut).into());
    counters.flows_kept.add((is_kept && !was_kept).into());
}

/// An ICMP error about a known flow passes as related, toward the sender of
/// the packet it quotes: the way opposite to that packet's.
fn related(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    id: FlowId,
    quoted: Direction,
) -> Result<AdjacencyId, Refusal> {
    write_known(local, id, quoted.opposite());
    if local.flows.flow(id).judged != world.generation {
        if is_inherited(world, local, id) {
            forget(local, now, id, Forgotten::Inherited);
            return Err(DropReason::IcmpUnrelated.into());
        }
        judge_again(world, local, now, id);
    }
    if let Some(denied) = local.flows.flow(id).denied {
        local.observer.note(|| Note::StaysCut(denied.reason));
        return Err(denied.into());
    }
    if arrived.dst != arrived.flow.key.src {
        return Err(DropReason::IcmpUnrelated.into());
    }
    let origin = local.flows.flow(id).origin;
    local.observer.note(|| Note::Related);
    let adjacency = route::choose(world, arrived, origin, quoted.opposite())?;
    write_route(local, arrived, adjacency, Choice::Looked);
    Ok(adjacency)
}

/// The port that packets from this address come in by; none where nobody is.
fn port_of(world: &Snapshot, address: Ipv4Addr) -> Option<PortId> {
    let adjacency = route::by_prefix(world, address).ok()?;
    Some(world.adjacency(adjacency).port)
}

fn stray(transport: Transport) -> DropReason {
    match transport {
        Transport::Icmp => DropReason::IcmpUnrelated,
        _ => DropReason::FragmentWithoutFirst,
    }
}
