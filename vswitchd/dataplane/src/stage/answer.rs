//! What the sender of a dropped packet is told: made in one place, on the way out.

use std::net::Ipv4Addr;

use packet::frame::Frame;
use packet::icmpv4::{self, Message};
use packet::reset::Reset;
use packet::{Protocol, ipv4};
use policy::model::Reply;

use super::{Refusal, link, route, transmit};
use crate::action::Action;
use crate::drop_reason::Answer;
use crate::ids::{AdjacencyId, PortId};
use crate::limiter::Purpose;
use crate::local::Local;
use crate::notebook::{self, Note};
use crate::snapshot::{PortKind, Snapshot};
use crate::time::Time;

/// What takes the place of a dropped packet.
enum Told {
    Error(Message),
    Reset(Reset),
}

/// Turns a refused packet into the ICMP error or TCP reset its sender is owed,
/// on its way back, or returns `None`: the reason has no answer, RFC 1122
/// section 3.2.2 forbids one (about an ICMP error, a later fragment, multicast,
/// broadcast), RFC 9293 does (about a reset), or the port has had too many.
///
/// An error comes from this node (see `source`), a reset from the address the
/// segment was sent to. Neither is judged here: it answers a packet that its receiver sent.
pub(crate) fn answer(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    port: PortId,
    frame: &mut Frame,
    refusal: Refusal,
) -> Option<Action> {
    let purpose = purpose(refusal)?;
    let about = ipv4::Header::parse_quoted(frame.packet()).ok()?;
    if !deserves_answer(frame, &about) {
        return None;
    }
    let told = told(refusal, frame, &about)?;
    let back = way_back(world, port, &about)?;
    let may = local.may_answer(port, purpose, now);
    count(local, purpose, may);
    local.observer.note(|| Note::Answered(written(&told, may)));
    if !may {
        return None;
    }
    match told {
        Told::Error(message) => icmpv4::make_error(frame, message, source(world, back, &about)),
        Told::Reset(reset) => reset.replace(frame),
    }
    Some(transmit::dress(local, None, world.adjacency(back), frame))
}

/// What the notebook says of it.
fn written(told: &Told, may: bool) -> notebook::Told {
    match told {
        _ if !may => notebook::Told::Limited,
        Told::Error(message) => notebook::Told::Error(*message),
        Told::Reset(_) => notebook::Told::Reset,
    }
}

/// Which limit the answer falls under; `None` when there is to be none.
fn purpose(refusal: Refusal) -> Option<Purpose> {
    match (refusal.reason.row().answer, refusal.reply) {
        (Answer::Silence, _) | (Answer::AsPolicySays, Reply::Drop) => None,
        (Answer::AsPolicySays, Reply::Reject) => Some(Purpose::Rejection),
        _ => Some(Purpose::Error),
    }
}

fn told(refusal: Refusal, frame: &Frame, about: &ipv4::Header) -> Option<Told> {
    let message = match refusal.reason.row().answer {
        Answer::Silence => return None,
        Answer::TimeExceeded => Message::TimeExceeded,
        Answer::NetUnreachable => Message::NetUnreachable,
        Answer::HostUnreachable => Message::HostUnreachable,
        Answer::FragmentationNeeded => Message::FragmentationNeeded {
            next_hop_mtu: refusal.mtu_bytes,
        },
        Answer::AsPolicySays if about.protocol == Protocol::TCP => {
            return Reset::answering(frame).map(Told::Reset);
        }
        Answer::AsPolicySays => Message::AdminProhibited,
    };
    Some(Told::Error(message))
}

fn deserves_answer(frame: &Frame, about: &ipv4::Header) -> bool {
    let is_error = about.protocol == Protocol::ICMP
        && about.fragment_offset_bytes == 0
        && icmpv4::Header::parse(about.payload(frame.packet())).is_ok_and(|icmp| icmp.is_error());
    about.fragment_offset_bytes == 0
        && !is_error
        && link::refuse_special(about.src, about.dst).is_ok()
}

/// The host's packets are answered to the host, everyone else's by route.
fn way_back(world: &Snapshot, port: PortId, about: &ipv4::Header) -> Option<AdjacencyId> {
    match world.port(port)?.kind {
        PortKind::Host => Some(world.node.host),
        PortKind::Workload(_) | PortKind::Uplink { .. } => route::by_prefix(world, about.src).ok(),
    }
}

/// Who an error comes from: this node, by its address in the pod network. To the
/// host itself that is an address of its own, from which its kernel takes nothing
/// (a martian source), so there the address that was asked speaks.
fn source(world: &Snapshot, back: AdjacencyId, about: &ipv4::Header) -> Ipv4Addr {
    match world.adjacency(back).to_host {
        true => about.dst,
        false => world.node.tunnel_address,
    }
}

fn count(local: &Local, purpose: Purpose, sent: bool) {
    let counters = local.counters();
    let counter = match (purpose, sent) {
        (Purpose::Error, true) => &counters.icmp_sent,
        (Purpose::Error, false) => &counters.icmp_limited,
        (Purpose::Rejection, true) => &counters.rejects_sent,
        (Purpose::Rejection, false) => &counters.rejects_limited,
    };
    counter.add(1);
}
