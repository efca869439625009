//! The last step: TTL, MTU, encapsulation, rewrite.

use packet::fragment::{self, Fragment};
use packet::frame::Frame;
use packet::{ipip, ipv4};

use super::{Instead, Refusal, Walked};
use crate::action::{Action, Punt};
use crate::adjacency::Adjacency;
use crate::arrived::Arrived;
use crate::drop_reason::DropReason;
use crate::ids::{AdjacencyId, PortId};
use crate::local::Local;
use crate::notebook::{Note, Point};
use crate::snapshot::Snapshot;

/// Takes the hop, fits the packet to the way and dresses it. The frame holds a
/// packet whose header has been parsed.
pub(crate) fn send(
    world: &Snapshot,
    local: &mut Local,
    arrived: &Arrived,
    adjacency: AdjacencyId,
    frame: &mut Frame,
) -> Walked {
    let to = world.adjacency(adjacency);
    let takes_hop = takes_hop(arrived.from_host, to);
    local.observer.note(|| Note::Ttl {
        before: ipv4::ttl(frame.ip_header_mut()),
        takes_hop,
    });
    if takes_hop {
        let header = frame.ip_header_mut();
        if ipv4::ttl(header) <= 1 {
            return Err(DropReason::TtlExceeded.into());
        }
        ipv4::decrement_ttl(header);
    }
    local.observer.note(|| Note::Mtu {
        wire_len: frame.wire_packet_len(),
        mtu_bytes: to.mtu_bytes,
    });
    if frame.wire_packet_len() > usize::from(to.mtu_bytes) {
        return Err(too_big(local, adjacency, to, frame));
    }
    local.observer.look(Point::PreEncap, frame);
    if let Some(tunnel) = to.tunnel {
        let peer = to.peer;
        local.observer.note(|| Note::Encapsulated { peer, tunnel });
    }
    if to.unresolved {
        return Err(Instead::Finished(dress(
            local,
            Some(arrived.port),
            to,
            frame,
        )));
    }
    Ok(dress_resolved(local, to, frame))
}

/// Each node takes one hop off a packet between pods. Between a pod and the
/// host the kernel is the router: it takes its own hop where it forwards.
#[inline(always)]
pub(crate) fn takes_hop(from_host: bool, to: &Adjacency) -> bool {
    !from_host && !to.to_host
}

fn too_big(local: &mut Local, adjacency: AdjacencyId, to: &Adjacency, frame: &Frame) -> Instead {
    let may_fragment = ipv4::Header::parse_quoted(frame.packet()).is_ok_and(|ip| !ip.dont_fragment);
    // A super-segment is cut by its sender's rules, so it is always told.
    if !may_fragment || frame.offload.gso.is_some() {
        let refusal = Refusal {
            mtu_bytes: to.mtu_bytes,
            ..DropReason::FragmentationNeeded.into()
        };
        return refusal.into();
    }
    local.observer.look(Point::PreEncap, frame);
    Instead::Finished(Action::Punt(Punt::Cut(adjacency)))
}

/// Encapsulates and writes the link header. `from` is the port at which a drop
/// is counted.
pub(crate) fn dress(
    local: &mut Local,
    from: Option<PortId>,
    to: &Adjacency,
    frame: &mut Frame,
) -> Action {
    let port = dress_resolved(local, to, frame);
    match (to.unresolved, to.tunnel) {
        (false, _) => Action::Transmit(port),
        // The kernel carries tunnel packets while it resolves the next hop. It
        // cannot carry plain ones: its own route to a pod leads back into
        // `tunl0`, and they would go round for ever.
        (true, Some(_)) => Action::Punt(Punt::Kernel),
        (true, None) => {
            local.count_drops(DropReason::UnresolvedNextHop, from, None, 1);
            local
                .observer
                .note(|| Note::Refused(DropReason::UnresolvedNextHop));
            local.observer.look(Point::Drop, frame);
            Action::Drop(DropReason::UnresolvedNextHop)
        }
    }
}

/// [`dress`] where the next hop is resolved: the port the frame is for.
#[inline(always)]
pub(crate) fn dress_resolved(local: &mut Local, to: &Adjacency, frame: &mut Frame) -> PortId {
    if let Some(tunnel) = to.tunnel {
        let outer = ipip::Outer {
            src: tunnel.local,
            dst: tunnel.remote,
            identification: local.next_identification(segment_count(frame)),
        };
        ipip::encapsulate(frame, outer);
    }
    match &to.link {
        Some(link) => frame.set_link(link),
        None => frame.clear_link(),
    }
    to.port
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
/// [`DropReason::NoBuffer`] when `spare` runs out; already counted.
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
            let mut piece = spare().ok_or(DropReason::NoBuffer)?;
            put_together(&mut piece, &fragment);
            let action = dress(local, None, to, &mut piece);
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
