//! What happens to a frame.

use packet::frame::Frame;
use packet::{Protocol, ipv4};

use crate::action::{Action, Punt};
use crate::arrived::{Arrived, From, Hop};
use crate::drop_reason::DropReason;
use crate::ids::{PeerId, PortId};
use crate::local::Local;
use crate::snapshot::{PortKind, Snapshot};
use crate::stage::{
    Instead, Refusal, Walked, answer, arrive, flow_of, judge, link, short_way, source, transmit,
    tunnel,
};
use crate::time::Time;

/// Walks a frame that came in by `port`.
///
/// Edits the frame in place; on [`Action::Transmit`] it is ready for the port,
/// link header and all. Where the sender of a dropped packet is owed an ICMP
/// error, the drop is counted and the frame becomes that error, on its way
/// back.
pub fn forward(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Action {
    let walked = walk::<true>(world, local, now, port, frame);
    end(world, local, now, port, frame, walked)
}

/// Goes on with a frame that another worker took in and this one owns.
pub fn resume(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: Arrived,
    frame: &mut Frame,
) -> Action {
    // Which node is meant by an id, only the snapshot it arrived under can say.
    let arrived = Arrived {
        sent_by: PeerId::NONE,
        ..arrived
    };
    // A newer snapshot than the one it arrived under may have lost its port;
    // without the port, nobody can say whose policy applies.
    let walked = match world.port(arrived.port) {
        Some(_) => proceed(world, local, now, &arrived, frame),
        None => Err(DropReason::NoPort.into()),
    };
    end(world, local, now, arrived.port, frame, walked)
}

/// `SHORT` is false in a test alone, which shows that it changes nothing.
#[inline(always)]
fn walk<const SHORT: bool>(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Walked {
    match &world.port(port).ok_or(DropReason::NoPort)?.kind {
        PortKind::Workload(workload) => {
            let header = arrive::from_workload(local, port, workload, frame)?;
            go_on::<SHORT>(world, local, now, From::port(port), &header, frame)
        }
        PortKind::Uplink { mac } => {
            let outer = arrive::from_uplink(*mac, frame)?;
            if outer.protocol != Protocol::IPIP || outer.is_fragment() {
                return go_on_unusually::<SHORT>(world, local, now, port, frame);
            }
            let (peer, header) = tunnel::strip(world, frame, &outer)?;
            go_on::<SHORT>(world, local, now, From::peer(port, peer), &header, frame)
        }
        PortKind::Host => {
            let header = arrive::from_host(world, frame)?;
            go_on::<SHORT>(world, local, now, From::host(port), &header, frame)
        }
    }
}

/// What comes by the uplink and is no whole tunnel packet.
#[inline(never)]
fn go_on_unusually<const SHORT: bool>(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Walked {
    let peer = arrive::unusual_from_uplink(world, local, now, port, frame)?;
    let header = ipv4::Header::parse(frame.packet()).map_err(link::malformed)?;
    go_on::<SHORT>(world, local, now, From::peer(port, peer), &header, frame)
}

/// From a packet whose source has been verified to its way out. What most
/// packets are, a plain one of a settled flow, takes the short way: one table
/// lookup. Everything else takes the long way, which reads the packet again: a
/// header that is handed on would have to be in memory for the short way, too.
#[inline(always)]
fn go_on<const SHORT: bool>(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    from: From,
    header: &ipv4::Header,
    frame: &mut Frame,
) -> Walked {
    let short = match SHORT {
        true => short_way::find(world, local, now, from, header, frame),
        false => None,
    };
    match short {
        Some(way) => transmit::send(world, local, Hop::new(from, header), way, frame),
        None => long_way(world, local, now, from, frame),
    }
}

#[inline(never)]
fn long_way(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    from: From,
    frame: &mut Frame,
) -> Walked {
    let header = ipv4::Header::parse(frame.packet()).map_err(link::malformed)?;
    if from.peer != PeerId::NONE {
        tunnel::verify_inner(world, from.peer, &header)?;
    }
    if world.workload(from.port).is_some() {
        source::refuse_tunnel(frame.packet(), &header)?;
    }
    link::refuse_special(header.src, header.dst)?;
    frame
        .check_offload(&header)
        .map_err(|_| DropReason::OffloadForged)?;
    let flow = flow_of::read(local, now, frame.packet(), &header)?;
    let arrived = Arrived::new(from, &header, flow);
    let owner = arrived.owner(local.workers);
    if owner != local.worker {
        local.counters().handed_off.add(1);
        let punt = Punt::Worker(owner, arrived);
        return Err(Instead::Finished(Action::Punt(punt)));
    }
    proceed(world, local, now, &arrived, frame)
}

/// The half of the long way that belongs to the flow's owner.
fn proceed(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    frame: &mut Frame,
) -> Walked {
    let way = judge::decide(world, local, now, arrived, frame.packet_len())?;
    transmit::send(world, local, arrived.hop, way, frame)
}

#[inline(always)]
fn end(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
    walked: Walked,
) -> Action {
    match walked {
        Ok(to) => Action::Transmit(to),
        Err(Instead::Finished(action)) => action,
        Err(Instead::Refused(refusal)) => refuse(world, local, now, port, frame, refusal),
    }
}

#[inline(never)]
fn refuse(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
    refusal: Refusal,
) -> Action {
    local.counters().drop(refusal.reason);
    answer::answer(world, local, now, port, frame, refusal).unwrap_or(Action::Drop(refusal.reason))
}

#[cfg(test)]
mod tests;
