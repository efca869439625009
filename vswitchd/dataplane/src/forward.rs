//! What happens to a frame.

use packet::frame::Frame;

use crate::action::{Action, Punt};
use crate::arrived::Arrived;
use crate::drop_reason::DropReason;
use crate::ids::PortId;
use crate::local::Local;
use crate::snapshot::Snapshot;
use crate::stage::arrive::{Arrival, arrive};
use crate::stage::{Refusal, answer, judge, transmit};
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
    match arrive(world, local, now, port, frame) {
        Ok(Arrival::Packet(arrived)) if arrived.owner(local.workers) != local.worker => {
            local.counters().handed_off.add(1);
            Action::Punt(Punt::Worker(arrived.owner(local.workers), arrived))
        }
        Ok(Arrival::Packet(arrived)) => resume(world, local, now, arrived, frame),
        Ok(Arrival::Finished(action)) => action,
        Err(refusal) => refuse(world, local, now, port, frame, refusal),
    }
}

/// Goes on with a frame that another worker took in and this one owns.
pub fn resume(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: Arrived,
    frame: &mut Frame,
) -> Action {
    // A newer snapshot than the one it arrived under may have lost its port;
    // without the port, nobody can say whose policy applies.
    let walked = match world.port(arrived.port) {
        Some(_) => judge::decide(world, local, now, &arrived, frame),
        None => Err(DropReason::NoPort.into()),
    };
    let walked =
        walked.and_then(|adjacency| transmit::send(world, local, &arrived, adjacency, frame));
    match walked {
        Ok(action) => action,
        Err(refusal) => refuse(world, local, now, arrived.port, frame, refusal),
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
    local.counters().drop(refusal.reason);
    answer::answer(world, local, now, port, frame, refusal).unwrap_or(Action::Drop(refusal.reason))
}
