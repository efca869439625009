//! Notes put into words: a step a stage.

use std::net::Ipv4Addr;

use dataplane::conntrack::Direction;
use dataplane::{AdjacencyId, Choice, DropReason, Forgotten, Note, PeerId, PortId, PortKind, Told};
use packet::{FlowKey, Protocol, icmpv4};
use policy::Verdict;

use super::names::Names;
use super::probe::Arriving;
use super::{Step, Walk, end, headers};

/// The walk, step by step, from the frame that came to the one that left.
pub(super) fn tell(names: &Names<'_>, arriving: &Arriving, walk: &Walk) -> Vec<Step> {
    let came = format!(
        "{}\n{}",
        names.port(arriving.port),
        headers::lines(&arriving.frame)
    );
    let mut steps = vec![Step::new("rx", came)];
    steps.extend(walk.notes.iter().filter_map(|note| step(names, note)));
    if walk.pieces > 0 {
        steps.push(Step::new(
            "forward",
            format!("cut into {} fragments; the first:", walk.pieces),
        ));
    }
    steps.extend(end::left(names, walk).map(|frame| Step::new("tx", frame)));
    steps
}

/// A note in words; none for what the end says.
fn step(names: &Names<'_>, note: &Note) -> Option<Step> {
    Some(match *note {
        Note::ArpAnswered { target } => Step::new(
            "arp",
            format!("who has {target}? answered: {}", dataplane::GATEWAY_MAC),
        ),
        Note::Decapsulated { peer } => Step::new(
            "decap",
            format!("the outer header of {} comes off", names.peer(peer)),
        ),
        Note::PathMtu { peer, mtu_bytes } => Step::new(
            "decap",
            format!(
                "the path to {} takes at most {mtu_bytes} bytes",
                names.peer(peer)
            ),
        ),
        Note::SourceVerified { port, peer, src } => source(names, port, peer, src),
        Note::Flow {
            key,
            is_error,
            owner,
        } => {
            let about = if is_error { "an ICMP error about " } else { "" };
            let text = format!("{about}{}, worker {owner}", flow(&key));
            Step::new("conntrack", text).with("worker", owner.0)
        }
        Note::Resumed { port } => Step::new("conntrack", format!("came by {}", names.port(port))),
        Note::Known {
            state,
            direction,
            judged,
        } => {
            let way = match direction {
                Direction::Original => "the way it began",
                Direction::Reply => "the way back",
            };
            let text =
                format!("known: {state}, this packet goes {way}, judged by generation {judged}");
            Step::new("conntrack", text).with("state", state.to_string())
        }
        Note::New {
            is_midstream,
            either_end,
        } => new(is_midstream, either_end),
        Note::Forgotten(why) => Step::new("conntrack", forgotten(why)),
        Note::JudgedAgain => Step::new("conntrack", "judged again: the generation is a newer one"),
        Note::Policy {
            direction,
            key,
            verdict,
            is_kept,
        } => policy(names, direction, &key, &verdict, is_kept),
        Note::StaysCut(reason) => Step::new(
            "conntrack",
            format!("cut by policy earlier ({reason}), and it stays cut"),
        ),
        Note::Related => Step::new("conntrack", "about a known flow: passes as related"),
        Note::State(state) => Step::new("conntrack", format!("then {state}")),
        Note::Route {
            dst,
            adjacency,
            choice,
        } => route(names, dst, adjacency, choice),
        Note::Ttl {
            before,
            takes_hop: true,
        } if before > 1 => Step::new("forward", format!("ttl {before} becomes {}", before - 1)),
        Note::Ttl {
            before,
            takes_hop: true,
        } => Step::new("forward", format!("ttl {before} is used up")),
        Note::Ttl { before, .. } => Step::new(
            "forward",
            format!("ttl {before} stays: the host kernel is the router here"),
        ),
        Note::Mtu {
            wire_len,
            mtu_bytes,
        } => mtu(wire_len, mtu_bytes),
        Note::Encapsulated { peer, tunnel } => {
            let to = peer.map_or_else(|| tunnel.remote.to_string(), |peer| names.peer(peer));
            Step::new(
                "encap",
                format!("IPIP {} > {}, to {to}", tunnel.local, tunnel.remote),
            )
        }
        Note::Refused(reason) => refused(reason),
        Note::Answered(told) => Step::new(
            "answer",
            format!("its sender is told: {}", self::told(told)),
        ),
        Note::Ended(_) => return None,
    })
}

fn source(names: &Names<'_>, port: PortId, peer: Option<PeerId>, src: Ipv4Addr) -> Step {
    let why = match (names.world.port(port).map(|port| &port.kind), peer) {
        (_, Some(peer)) => format!(
            "lies in a block of {}, whose tunnel it came by",
            names.peer(peer)
        ),
        (Some(PortKind::Workload(_)), _) => "is the pod's own address and MAC".to_owned(),
        (Some(PortKind::Host), _) => {
            "may come from the host: no other node's pod has it".to_owned()
        }
        _ => "lies in a block whose packets need no tunnel".to_owned(),
    };
    Step::new("source", format!("{src} {why}"))
}

fn new(is_midstream: bool, either_end: bool) -> Step {
    let text = match (is_midstream, either_end) {
        (false, _) => "a new flow",
        (true, true) => {
            "a new flow, from the middle of a connection: one end's permission is enough, the \
             daemon has just started"
        }
        (true, false) => {
            "a new flow, from the middle of a connection: policy must allow it from either end"
        }
    };
    Step::new("conntrack", text).with("state", "NEW")
}

fn forgotten(why: Forgotten) -> &'static str {
    match why {
        Forgotten::Over => "the connection before it on these ports is over",
        Forgotten::Inherited => "the flow was an earlier pod's with this address: forgotten",
        Forgotten::Cut => "the flow that was cut before it is forgotten",
    }
}

fn policy(
    names: &Names<'_>,
    direction: policy::Direction,
    key: &FlowKey,
    verdict: &Verdict,
    is_kept: bool,
) -> Step {
    let subject = match direction {
        policy::Direction::Egress => key.src,
        policy::Direction::Ingress => key.dst,
    };
    let answer = match (verdict.allowed, is_kept) {
        (true, _) => "allowed",
        (false, true) => "denied, but it was there before and is kept",
        (false, false) => "denied",
    };
    let rule = names.world.policy.describe(verdict.rule).to_string();
    Step::new(
        "policy",
        format!("{direction} of {}: {answer}: {rule}", names.who(subject)),
    )
    .with("direction", direction.to_string())
    .with("allowed", verdict.allowed || is_kept)
    .with("rule", rule)
}

fn route(names: &Names<'_>, dst: Ipv4Addr, adjacency: AdjacencyId, choice: Choice) -> Step {
    let way = names.world.adjacency(adjacency);
    let port = names.port(way.port);
    let text = match (way.peer, names.block(dst)) {
        (Some(peer), Some((_, route))) => {
            format!(
                "{dst} is in {}, a block of {}: by {port}",
                route.block,
                names.peer(peer)
            )
        }
        (Some(peer), None) => format!("{dst} is of {}: by {port}", names.peer(peer)),
        (None, _) if way.to_host => format!("{dst} by {port}"),
        (None, _) => format!("{dst} is here: by {port}"),
    };
    let text = match choice {
        Choice::Looked => text,
        Choice::Remembered => format!("{text}, as the flow remembers"),
    };
    Step::new("route", text).with("port", port)
}

fn mtu(wire_len: usize, mtu_bytes: u16) -> Step {
    let fits = wire_len <= usize::from(mtu_bytes);
    let text = match fits {
        true => format!("{wire_len} bytes on the wire fit into the way's {mtu_bytes}"),
        false => format!("{wire_len} bytes on the wire are more than the way's {mtu_bytes}"),
    };
    Step::new("forward", text)
        .with("packet_bytes", wire_len)
        .with("mtu_bytes", mtu_bytes)
}

fn refused(reason: DropReason) -> Step {
    let row = reason.row();
    let text = format!("{}, at stage {}", row.label, row.stage);
    Step::new("drop", text).with("reason", row.label)
}

/// What the sender hears of it.
pub(super) fn told(told: Told) -> String {
    match told {
        Told::Error(message) => {
            let icmp: icmpv4::Header = message.header();
            let mtu = icmp.next_hop_mtu();
            let mtu = mtu.map_or(String::new(), |mtu| format!(", at most {mtu} bytes"));
            format!("{}{mtu}", headers::icmp_name(&icmp))
        }
        Told::Reset => "TCP reset".to_owned(),
        Told::Limited => "nothing, its port has caused too many answers".to_owned(),
    }
}

fn flow(key: &FlowKey) -> String {
    let FlowKey {
        src,
        dst,
        src_port,
        dst_port,
        protocol,
    } = *key;
    match protocol {
        protocol if protocol.has_ports() => {
            format!("{protocol} {src}:{src_port} > {dst}:{dst_port}")
        }
        Protocol::ICMP => format!("icmp {src} > {dst}"),
        protocol => format!("protocol {protocol} {src} > {dst}"),
    }
}
