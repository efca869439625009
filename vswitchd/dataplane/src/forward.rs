//! What happens to a frame.

use packet::frame::Frame;
use packet::ipv4;

use crate::action::{Action, Punt};
use crate::arrived::{Arrived, From};
use crate::drop_reason::DropReason;
use crate::ids::{PeerId, PortId};
use crate::local::Local;
use crate::notebook::{Note, Notebook, Point};
use crate::snapshot::Snapshot;
use crate::stage::{
    Instead, Refusal, Walked, answer, arrive, flow_of, judge, link, route, short_way, source,
    transmit, tunnel,
};
use crate::time::Time;

/// Walks a frame that came in by `port`.
///
/// Edits the frame in place; on [`Action::Transmit`] it is ready for the port,
/// link header and all. Where the sender of a dropped packet is owed an ICMP
/// error, the drop is counted and the frame becomes that error, on its way
/// back.
#[inline]
pub fn forward(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Action {
    match short_way::take(world, local, now, port, frame) {
        Some(to) => Action::Transmit(to),
        None => long_way(world, local, now, port, frame),
    }
}

/// The way of every packet that is not just one more of a settled flow.
#[inline(never)]
fn long_way(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
) -> Action {
    let walked = arrive::verified(world, local, now, port, frame)
        .and_then(|(from, header)| go_on(world, local, now, from, &header, frame));
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

/// The walk of [`forward`], written down: same action, same frame, same state
/// after it, counters included. The notebook is emptied first. It takes the
/// long way whatever the frame is, so it costs several times as much.
pub fn observe(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
    notebook: &mut Notebook,
) -> Action {
    local.observer.begin(notebook);
    let action = long_way(world, local, now, port, frame);
    local.observer.note(|| Note::Ended(action));
    local.observer.end(notebook);
    action
}

/// The walk of [`forward`], written down as by [`observe`] where it is the long
/// one: for who asks what was dropped. One more packet of a settled flow takes
/// the short way, which drops nothing, and the notebook is empty after it.
pub fn observe_unsettled(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
    notebook: &mut Notebook,
) -> Action {
    match short_way::take(world, local, now, port, frame) {
        Some(to) => {
            notebook.clear();
            Action::Transmit(to)
        }
        None => observe(world, local, now, port, frame, notebook),
    }
}

/// The walk of [`resume`], written down as by [`observe`].
pub fn observe_resumed(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: Arrived,
    frame: &mut Frame,
    notebook: &mut Notebook,
) -> Action {
    local.observer.begin(notebook);
    local.observer.note(|| Note::Resumed { port: arrived.port });
    let action = resume(world, local, now, arrived, frame);
    local.observer.note(|| Note::Ended(action));
    local.observer.end(notebook);
    action
}

/// From a packet whose source has been verified to its way out.
fn go_on(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    from: From,
    header: &ipv4::Header,
    frame: &mut Frame,
) -> Walked {
    if from.peer != PeerId::NONE {
        tunnel::verify_inner(world, from.peer, header)?;
    }
    if world.workload(from.port).is_some() {
        source::refuse_tunnel(frame.packet(), header)?;
    }
    link::refuse_special(header.src, header.dst)?;
    frame
        .check_offload(header)
        .map_err(|_| DropReason::OffloadForged)?;
    local.observer.note(|| Note::SourceVerified {
        port: from.port,
        peer: (from.peer != PeerId::NONE).then_some(from.peer),
        src: header.src,
    });
    let flow = flow_of::read(local, now, frame.packet(), header)?;
    let arrived = Arrived::new(from, header, flow);
    let owner = arrived.owner(local.workers);
    local.observer.note(|| Note::Flow {
        key: flow.key,
        is_error: flow.is_error,
        owner,
    });
    if owner != local.worker {
        local.counters().handed_off.add(1);
        let punt = Punt::Worker(owner, arrived);
        return Err(Instead::Finished(Action::Punt(punt)));
    }
    proceed(world, local, now, &arrived, frame)
}

/// The half of the walk that belongs to the flow's owner.
fn proceed(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    frame: &mut Frame,
) -> Walked {
    let way = judge::decide(world, local, now, arrived, frame.packet_len())?;
    local.observer.look(Point::PostPolicy, frame);
    transmit::send(world, local, arrived, way, frame)
}

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

fn refuse(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
    refusal: Refusal,
) -> Action {
    let toward = on_account_of(world, frame, refusal.reason);
    local.count_drops(refusal.reason, Some(port), toward, 1);
    local.observer.note(|| Note::Refused(refusal.reason));
    local.observer.look(Point::Drop, frame);
    answer::answer(world, local, now, port, frame, refusal).unwrap_or(Action::Drop(refusal.reason))
}

/// The port whose pod's ingress policy refuses the packet. It is for that pod; or
/// from it, where the other end is asked for a connection met in the middle.
fn on_account_of(world: &Snapshot, frame: &Frame, reason: DropReason) -> Option<PortId> {
    if reason != DropReason::PolicyIngress {
        return None;
    }
    let header = ipv4::Header::parse_quoted(frame.packet()).ok()?;
    let mut ends = [header.dst, header.src].into_iter();
    let pod = ends.find_map(|address| route::workload_at(world, address))?;
    Some(world.adjacency(pod).port)
}

#[cfg(test)]
mod tests;
