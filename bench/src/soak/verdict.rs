//! What must not be: rules over a summary, each with the sentence that says what was found.

use super::{
    agent::ask::QUESTIONS,
    summary::{Datagrams, Node, Summary},
};

/// How much a daemon may grow between the end of the warm-up and that of the load.
pub const GROWTH_KIB: u64 = 2048;
/// The same where the run is shorter than [`LONG_SECONDS`]: buffers and the flow table are allocated at the start and
/// touched for the first time as the load comes to need them, which looks like growth.
pub const GROWTH_OF_A_SHORT_RUN_KIB: u64 = 16 * 1024;
const LONG_SECONDS: u64 = 300;
/// Idle threads that the runtime of the admin socket may keep for the next question.
const SPARE_THREADS: u64 = 3;
/// Flows that may be left when all have timed out: of a node's own noise.
pub const FLOWS_LEFT: usize = 4;

/// Reasons a soak brings about by what it does: policy that closes the door, pods that are gone, noise of the pods' own
/// kernels (IPv6, multicast), and what overload may cost.
const EXPECTED: [&str; 9] = [
    "policy_egress",
    "policy_ingress",
    "no_workload",
    "no_port",
    "device_error",
    "ipv6",
    "multicast",
    "arp_probe",
    "device_full",
];
/// Reasons that can explain that an allowed datagram is lost.
const LOSS: [&str; 3] = ["device_full", "device_error", "hand_off_full"];

/// Every rule that is broken.
#[must_use]
pub fn violations(summary: &Summary) -> Vec<String> {
    let mut found = Vec::new();
    streams(summary, &mut found);
    for way in &summary.datagrams {
        datagrams(summary, way, &mut found);
    }
    wire(summary, &mut found);
    others(summary, &mut found);
    for node in &summary.nodes {
        growth(summary.seconds, node, &mut found);
        daemon(node, &mut found);
    }
    found
}

fn streams(summary: &Summary, found: &mut Vec<String>) {
    for stream in &summary.streams {
        let (name, sent) = (&stream.name, &stream.sent);
        if let Some(error) = &sent.error {
            found.push(format!("stream {name} ended early: {error}"));
        } else if sent.bytes == 0 || sent.bytes != sent.verified_bytes {
            found.push(format!(
                "stream {name}: {} bytes sent, {} verified",
                sent.bytes, sent.verified_bytes
            ));
        }
    }
    if summary.served_corrupted > 0 {
        found.push(format!(
            "{} connections carried a wrong byte",
            summary.served_corrupted
        ));
    }
}

fn datagrams(summary: &Summary, way: &Datagrams, found: &mut Vec<String>) {
    let name = &way.name;
    if way.sent == 0 || way.received > way.sent {
        found.push(format!(
            "datagrams {name}: {} sent, {} received",
            way.sent, way.received
        ));
    }
    // Of a burst beyond capacity the kernel's queues of two CPUs hold parts when the sender is moved to another one.
    if way.is_paced && way.late > 0 {
        found.push(format!(
            "datagrams {name}: {} overtaken within their flow, or twice",
            way.late
        ));
    }
    if way.is_paced && way.lost() > 0 {
        found.push(format!(
            "datagrams {name}: {} of {} lost below capacity",
            way.lost(),
            way.sent
        ));
    }
    let explained = explained(summary, way);
    if way.lost() > explained {
        found.push(format!(
            "datagrams {name}: {} lost, only {explained} counted by anyone",
            way.lost()
        ));
    }
}

/// How many lost datagrams of a way are counted somewhere they passed.
#[must_use]
pub fn explained(summary: &Summary, way: &Datagrams) -> u64 {
    let of_node = |node: &Node| -> u64 {
        let reasons = LOSS
            .iter()
            .filter_map(|reason| node.counted.drops.get(*reason));
        let missed = |interface: &str, port: u64| {
            let is_flood = interface == summary.flood_interface;
            if way.is_paced == is_flood { 0 } else { port }
        };
        let ports = node.counted.ports.iter();
        let missed: u64 = ports
            .map(|(interface, port)| missed(interface, port.missed))
            .sum();
        reasons.sum::<u64>() + missed
    };
    let at_devices: u64 = summary.device_drops.values().sum();
    way.socket_drops + at_devices + summary.nodes.iter().map(of_node).sum::<u64>()
}

/// What the device of the pod that overloads has sent, its port has taken in or missed, to the frame.
fn wire(summary: &Summary, found: &mut Vec<String>) {
    let ports = summary.nodes.iter().flat_map(|node| &node.counted.ports);
    let mut own = ports.filter(|(interface, _)| **interface == summary.flood_interface);
    let port = own.next().map(|(_, port)| *port).unwrap_or_default();
    if summary.flood_on_wire != port.rx_frames + port.missed {
        found.push(format!(
            "the flood's device sent {} frames, its port took {} and missed {}",
            summary.flood_on_wire, port.rx_frames, port.missed
        ));
    }
}

fn others(summary: &Summary, found: &mut Vec<String>) {
    if summary.datagrams_corrupted > 0 {
        found.push(format!(
            "{} datagrams carried a wrong byte",
            summary.datagrams_corrupted
        ));
    }
    for (name, churned) in &summary.churn {
        if churned.count == 0 || churned.failed > 0 {
            let (count, failed, errors) = (churned.count, churned.failed, &churned.errors);
            found.push(format!(
                "short connections {name}: {count} right, {failed} failed: {errors:?}"
            ));
        }
    }
    let (guests, changes) = (&summary.guests, &summary.changes);
    if guests.count == 0 || changes.count == 0 {
        found.push(format!(
            "{} guests came, policy changed {} times",
            guests.count, changes.count
        ));
    }
    found.extend(guests.errors.iter().chain(&changes.errors).cloned());
    // In a round that was slow some questions may just not have come back.
    let slow = changes.slow * QUESTIONS;
    let denied = (changes.asked - changes.answered).saturating_sub(slow);
    let counted: u64 = summary
        .nodes
        .iter()
        .flat_map(|node| {
            ["policy_egress", "policy_ingress"].map(|reason| node.counted.drops.get(reason))
        })
        .flatten()
        .sum();
    if counted < denied {
        found.push(format!(
            "{denied} questions were not answered, policy counted {counted}"
        ));
    }
}

fn growth(seconds: u64, node: &Node, found: &mut Vec<String>) {
    let bound = if seconds < LONG_SECONDS {
        GROWTH_OF_A_SHORT_RUN_KIB
    } else {
        GROWTH_KIB
    };
    let growth = node.loaded.rss_kib.saturating_sub(node.warm.rss_kib);
    if growth > bound {
        let (name, warm) = (&node.name, node.warm.rss_kib);
        found.push(format!(
            "{name}: grew by {growth} KiB after the warm-up, from {warm} KiB"
        ));
    }
}

fn daemon(node: &Node, found: &mut Vec<String>) {
    let name = &node.name;
    for (what, before, after, spare) in [
        (
            "descriptors",
            node.before.descriptors,
            node.after.descriptors,
            0,
        ),
        (
            "threads",
            node.before.threads,
            node.after.threads,
            SPARE_THREADS,
        ),
    ] {
        if after > before + spare {
            found.push(format!("{name}: {before} {what} before, {after} after"));
        }
    }
    if node.flows_left.len() > FLOWS_LEFT {
        let (count, first) = (node.flows_left.len(), &node.flows_left[..FLOWS_LEFT]);
        found.push(format!(
            "{name}: {count} flows long after the traffic: {first:?} ..."
        ));
    }
    for (reason, count) in &node.counted.drops {
        if !EXPECTED.contains(&reason.as_str()) {
            found.push(format!(
                "{name}: {count} frames dropped as {reason}, which nothing here should cause"
            ));
        }
    }
    let (balance, unaccounted) = (&node.balance, node.balance.unaccounted());
    if balance.received == 0 || unaccounted != 0 {
        found.push(format!(
            "{name}: {unaccounted} frames neither sent nor counted: {balance:?}"
        ));
    }
}

#[cfg(test)]
mod tests;
