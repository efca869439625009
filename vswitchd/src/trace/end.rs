//! How a node's part of a trace ends: one sentence.

use cni_shim::trace::{Given, Probe};
use dataplane::{Action, Adjacency, DropReason, Note, PortId, PortKind, Punt};
use packet::{Frame, Protocol, ipv4};

use super::names::{Names, full_name};
use super::probe::Arriving;
use super::{End, Onward, Verdict, Walk, headers, hex, words};
use crate::control::Peer;

/// What came of the packet here.
pub(super) fn of(names: &Names<'_>, arriving: &Arriving, walk: &Walk) -> End {
    match (walk.refused, walk.action) {
        (Some(reason), _) => dropped(names, walk, reason),
        (None, Action::Drop(reason)) => dropped(names, walk, reason),
        (None, Action::Transmit(port)) => sent(names, arriving, walk, port),
        (None, Action::Punt(Punt::Kernel)) => onward(names, walk, false),
        (None, Action::Punt(Punt::Absorbed)) => plain(Verdict::Kept, kept(walk)),
        (None, Action::Punt(Punt::Worker(owner, _))) => {
            plain(Verdict::Kept, format!("handed to worker {owner}"))
        }
        (None, Action::Punt(Punt::Cut(_))) => plain(Verdict::Kept, "to be cut".to_owned()),
    }
}

fn plain(verdict: Verdict, text: String) -> End {
    End {
        verdict,
        reason: None,
        text,
        onward: None,
    }
}

fn kept(walk: &Walk) -> String {
    let is_report = |note: &Note| matches!(note, Note::PathMtu { .. });
    match walk.notes.iter().any(is_report) {
        true => "kept: a report about this node's own tunnel".to_owned(),
        false => "kept until the other fragments of its packet come".to_owned(),
    }
}

/// Why, who says so, what to do about it, and what the sender hears.
fn dropped(names: &Names<'_>, walk: &Walk, reason: DropReason) -> End {
    let row = reason.row();
    let node = &names.desired.node.name;
    let mut text = format!("dropped by {node}: {}: {}", row.label, row.sentence);
    if let Some(rule) = decider(names, walk) {
        text = format!("{text} Decided by: {rule}.");
        if let Some(question) = question(names, walk) {
            text = format!("{text} What would have to change: `{question}`.");
        }
    }
    if let Some(told) = walk.notes.iter().find_map(answer) {
        text = format!("{text} Its sender is told: {told}.");
    }
    End {
        reason: Some(row.label.to_owned()),
        ..plain(Verdict::Dropped, text)
    }
}

fn decider(names: &Names<'_>, walk: &Walk) -> Option<String> {
    let denied = |note: &Note| match note {
        Note::Policy {
            verdict,
            is_kept: false,
            ..
        } if !verdict.allowed => Some(verdict.rule),
        _ => None,
    };
    let is_policy = |reason| matches!(reason, DropReason::PolicyEgress | DropReason::PolicyIngress);
    walk.refused.filter(|reason| is_policy(*reason))?;
    let rule = walk.notes.iter().find_map(denied)?;
    Some(names.world.policy.describe(rule).to_string())
}

/// The command that tells what would have to change for this flow to be allowed.
fn question(names: &Names<'_>, walk: &Walk) -> Option<String> {
    let key = walk.notes.iter().find_map(|note| match note {
        Note::Policy { key, verdict, .. } if !verdict.allowed => Some(*key),
        _ => None,
    })?;
    let end = |address| names.pod_or_address(address);
    let (from, to) = (end(key.src), end(key.dst));
    let port = match key.protocol {
        Protocol::ICMP => "icmp".to_owned(),
        protocol if protocol.has_ports() => format!("{}/{protocol}", key.dst_port),
        protocol => format!("protocol:{}", protocol.0),
    };
    Some(format!(
        "vswitchctl policy explain {from} {to} --port {port}"
    ))
}

fn answer(note: &Note) -> Option<String> {
    match note {
        Note::Answered(told) => Some(words::told(*told)),
        _ => None,
    }
}

fn sent(names: &Names<'_>, arriving: &Arriving, walk: &Walk, port: PortId) -> End {
    let is_arp = |note: &Note| matches!(note, Note::ArpAnswered { .. });
    if walk.notes.iter().any(is_arp) {
        let to = names.port(arriving.port);
        return plain(Verdict::Delivered, format!("answered, by {to}"));
    }
    match names.world.port(port).map(|port| &port.kind) {
        Some(PortKind::Uplink { .. }) => onward(names, walk, true),
        Some(PortKind::Host) => plain(Verdict::Delivered, to_host(names, &walk.frame)),
        Some(PortKind::Workload(workload)) => {
            let pod = names.desired.workload_at(workload.address);
            let pod = pod.map_or_else(|| workload.address.to_string(), full_name);
            let (node, port) = (&names.desired.node.name, names.port(port));
            plain(
                Verdict::Delivered,
                format!("delivered to {pod} on {node}, by {port}"),
            )
        }
        None => plain(Verdict::Dropped, format!("port {port} is gone")),
    }
}

/// The host kernel takes what is its own and routes the rest.
fn to_host(names: &Names<'_>, frame: &Frame) -> String {
    let node = &names.desired.node;
    let Ok(header) = ipv4::Header::parse_quoted(frame.packet()) else {
        return format!("delivered to the host kernel of {}", node.name);
    };
    if node.local_addresses.contains(&header.dst) {
        return format!("delivered to the host {} ({})", node.name, header.dst);
    }
    let pool = |address| {
        let mut pools = names.desired.pools.iter();
        pools.find(|pool| pool.cidr.contains(&address))
    };
    let masquerades =
        pool(header.src).is_some_and(|pool| pool.nat_outgoing) && pool(header.dst).is_none();
    let nat = match masquerades {
        true => format!(", as from {} (nat_outgoing)", node.address.addr()),
        false => String::new(),
    };
    format!(
        "delivered to the host kernel of {}, which routes it on to {}{nat}",
        node.name, header.dst
    )
}

/// It leaves for another node.
fn onward(names: &Names<'_>, walk: &Walk, is_dressed: bool) -> End {
    let node = &names.desired.node.name;
    let peer = way(names, walk).and_then(|way| names.world.peers.get(way.peer?.index()));
    let Some(peer) = peer else {
        return plain(Verdict::Onward, format!("leaves {node} by the uplink"));
    };
    let how = match is_dressed {
        true => "",
        false => " (by the host kernel: the MAC address of the next hop is not known yet)",
    };
    let text = format!("leaves {node} for {} ({}){how}", peer.name, peer.address);
    let described = names.desired.peers.get(&peer.name);
    let probe = Probe::Given(as_it_arrives(&walk.frame, described, is_dressed));
    End {
        onward: Some(Onward {
            node: peer.name.clone(),
            probe,
        }),
        ..plain(Verdict::Onward, text)
    }
}

/// A router on the way writes link headers of its own: then only the packet is known.
fn as_it_arrives(frame: &Frame, peer: Option<&Peer>, is_dressed: bool) -> Given {
    let is_direct = |peer: &Peer| peer.next_hop.address == peer.address.addr();
    let is_packet = !(is_dressed && peer.is_some_and(is_direct));
    let mut frame = frame.clone();
    if is_packet {
        frame.clear_link();
    }
    let is_plain = frame.offload == packet::Offload::default();
    Given {
        port: "uplink".to_owned(),
        bytes: hex::to_hex(frame.bytes()),
        is_packet,
        offload: (!is_plain).then(|| hex::to_hex(&frame.virtio_header())),
    }
}

fn way<'a>(names: &Names<'a>, walk: &Walk) -> Option<&'a Adjacency> {
    let adjacency = walk.notes.iter().find_map(|note| match note {
        Note::Route { adjacency, .. } => Some(*adjacency),
        _ => None,
    });
    adjacency.map(|id| names.world.adjacency(id))
}

/// The frame as it leaves, for people.
pub(super) fn left(names: &Names<'_>, walk: &Walk) -> Option<String> {
    let port = match walk.action {
        Action::Transmit(port) => names.port(port),
        Action::Punt(Punt::Kernel) => "the host kernel".to_owned(),
        _ => return None,
    };
    Some(format!("{port}\n{}", headers::lines(&walk.frame)))
}
