//! What happens to a frame.

use packet::frame::Frame;

use crate::drop_reason::DropReason;
use crate::ids::{AdjacencyId, PortId, WorkerId};
use crate::local::Local;
use crate::snapshot::Snapshot;
use crate::stage::arrive::{Arrival, Arrived, arrive};
use crate::stage::{Refusal, answer, judge, transmit};
use crate::time::Time;

/// The three ways out of the switch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// The frame is dressed for this port: hand it to the device.
    Transmit(PortId),
    /// Somebody else goes on with it.
    Punt(Punt),
    /// It is gone. Already counted.
    Drop(DropReason),
}

/// Who goes on with a frame that the walk could not finish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Punt {
    /// The worker that owns the flow: give it the frame and call [`resume`].
    Worker(WorkerId, Arrived),
    /// The host kernel, through a raw IP socket: the next hop's MAC address is
    /// not known here. The frame's packet is complete, outer header included.
    Kernel,
    /// The packet is larger than the adjacency's MTU and may be cut: call
    /// [`crate::cut_and_dress`].
    Cut(AdjacencyId),
    /// Nobody: it was kept (an unfinished fragment) or consumed.
    Absorbed,
}

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
