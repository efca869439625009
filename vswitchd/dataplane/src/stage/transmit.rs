//! The last step: TTL, MTU, encapsulation, rewrite.

use packet::fragment::{self, Fragment};
use packet::frame::Frame;
use packet::{ipip, ipv4};

use super::Refusal;
use crate::action::{Action, Punt};
use crate::adjacency::Adjacency;
use crate::arrived::Arrived;
use crate::drop_reason::DropReason;
use crate::ids::AdjacencyId;
use crate::local::Local;
use crate::snapshot::{PortKind, Snapshot};

/// Takes the hop, fits the packet to the way and dresses it.
#[inline]
pub(crate) fn send(
    world: &Snapshot,
    local: &mut Local,
    arrived: &Arrived,
    adjacency: AdjacencyId,
    frame: &mut Frame,
) -> Result<Action, Refusal> {
    let to = world.adjacency(adjacency);
    if takes_hop(world, arrived, to) {
        if arrived.header.ttl <= 1 {
            return Err(DropReason::TtlExceeded.into());
        }
        ipv4::decrement_ttl(frame.packet_mut());
    }
    if frame.wire_packet_len() > usize::from(to.mtu_bytes) {
        // A super-segment is cut by its sender's rules, so it is always told.
        if arrived.header.dont_fragment || frame.offload.gso.is_some() {
            return Err(Refusal {
                mtu_bytes: to.mtu_bytes,
                ..DropReason::FragmentationNeeded.into()
            });
        }
        return Ok(Action::Punt(Punt::Cut(adjacency)));
    }
    Ok(dress(local, to, frame))
}

/// Each node takes one hop off a packet between pods. Between a pod and the
/// host the kernel is the router: it takes its own hop where it forwards.
fn takes_hop(world: &Snapshot, arrived: &Arrived, to: &Adjacency) -> bool {
    let from_host =
        matches!(world.port(arrived.port), Some(port) if matches!(port.kind, PortKind::Host));
    !from_host && !to.to_host
}

/// Encapsulates and writes the link header.
#[inline]
pub(crate) fn dress(local: &mut Local, to: &Adjacency, frame: &mut Frame) -> Action {
    if let Some(tunnel) = to.tunnel {
        let segments = segment_count(frame);
        let identification = local.next_identification(segments);
        let outer = ipip::Outer {
            src: tunnel.local,
            dst: tunnel.remote,
            identification,
        };
        ipip::encapsulate(frame, outer);
    }
    match to.link {
        _ if to.unresolved => return unresolved(local, to, frame),
        Some(link) => frame.set_link(&link),
        None => frame.clear_link(),
    }
    Action::Transmit(to.port)
}

/// The kernel carries tunnel packets while it resolves the next hop. It cannot
/// carry plain ones: its own route to a pod leads back into `tunl0`, and they
/// would go round for ever.
fn unresolved(local: &Local, to: &Adjacency, frame: &mut Frame) -> Action {
    frame.clear_link();
    if to.tunnel.is_some() {
        return Action::Punt(Punt::Kernel);
    }
    local.counters().drop(DropReason::UnresolvedNextHop);
    Action::Drop(DropReason::UnresolvedNextHop)
}

/// How many packets the frame is on the wire; each needs an identification.
fn segment_count(frame: &Frame) -> u16 {
    match frame.offload.gso {
        Some(gso) => (frame.packet_len() / usize::from(gso.size.max(1)) + 1) as u16,
        None => 1,
    }
}

/// Cuts a packet that is too large for its adjacency (RFC 791 section 2.3) and
/// dresses each fragment. `spare` gives empty frames, `out` takes each with
/// what is to be done with it. This is a slow path.
///
/// # Errors
/// [`DropReason::FragmentFailed`] when the packet cannot be cut,
/// [`DropReason::DeviceFull`] when `spare` runs out; already counted.
pub fn cut_and_dress(
    world: &Snapshot,
    local: &mut Local,
    adjacency: AdjacencyId,
    frame: &mut Frame,
    mut spare: impl FnMut() -> Option<Frame>,
    mut out: impl FnMut(Frame, Action),
) -> Result<(), DropReason> {
    let to = world.adjacency(adjacency);
    frame.finish_checksum();
    let cut = (|| {
        let fragments = fragment::fragments(frame.packet(), to.mtu_bytes.into())
            .map_err(|_| DropReason::FragmentFailed)?;
        for fragment in fragments {
            let mut piece = spare().ok_or(DropReason::DeviceFull)?;
            put_together(&mut piece, &fragment);
            let action = dress(local, to, &mut piece);
            out(piece, action);
        }
        Ok(())
    })();
    cut.inspect_err(|reason| local.counters().drop(*reason))
}

/// Writes a fragment where a device would have received it, so that the whole
/// headroom is left for the outer header and the link header.
fn put_together(piece: &mut Frame, fragment: &Fragment<'_>) {
    let (header, len) = (fragment.header(), fragment.total_len());
    let room = piece.rx_buffer(0);
    room[..header.len()].copy_from_slice(header);
    room[header.len()..len].copy_from_slice(fragment.payload);
    piece.received(0, len, packet::Offload::default());
}
