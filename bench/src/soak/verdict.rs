//! What must not be: rules over a summary, each with the sentence that says what was found.

use super::{
    changes,
    summary::{Datagrams, Node, Summary},
    vitals::Held,
};

/// How much a daemon may grow between the end of the warm-up and that of the load: its heap, and apart from that what it has touched
/// elsewhere. What it touches of its heap is not growth: a frame's buffer of 64 KiB is allocated at the start and becomes resident page by
/// page, when the first frame comes that is so long.
pub const GROWTH_KIB: u64 = 2048;
/// The same outside the heap where the run is shorter than [`LONG_SECONDS`]: the flow table is touched for the first time as the
/// load comes to need it.
pub const GROWTH_OF_A_SHORT_RUN_KIB: u64 = 16 * 1024;
const LONG_SECONDS: u64 = 300;
/// Idle threads that the runtime of the admin socket may keep for the next question.
const SPARE_THREADS: u64 = 3;
/// Of TCP segments, one in so many may be sent again. No queue of the switch drops one; but pods and daemons wait for each other on
/// the same few cores, and a sender that waits for longer than its timer allows sends again what was not lost: some 0.03 %
/// of a busy run. A queue that overflows costs per cents.
const SENT_AGAIN: u64 = 200;
/// Of the rounds of questions, one in so many may be slow, and one in any case.
const SLOW_ROUNDS: u64 = 100;

/// Reasons a soak brings about by what it does: policy that closes the door, pods that are gone, noise of the pods' own
/// kernels (IPv6, multicast), and what overload may cost.
const EXPECTED: [&str; 11] = [
    "policy_egress",
    "policy_ingress",
    "no_workload",
    "no_port",
    "device_error",
    "ipv6",
    "multicast",
    "arp_probe",
    "device_full",
    "kernel_queue_full",
    "no_buffer",
];
/// Reasons that can explain that an allowed datagram is lost.
const LOSS: [&str; 5] = [
    "device_full",
    "kernel_queue_full",
    "no_buffer",
    "device_error",
    "hand_off_full",
];

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
        flows(summary, node, &mut found);
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
    if !way.is_paced && way.lost() > explained {
        found.push(format!(
            "datagrams {name}: {} lost, only {explained} counted on their way",
            way.lost()
        ));
    }
}

/// How many lost datagrams of the overload are counted where they passed: the sender's device, its port, the daemon of its
/// node, the receiver's device, the receiver's socket. The daemon counts reasons for the whole node, whose other frames
/// are among them. What the device toward the receiver dropped is not: there the daemon tries a frame again and counts it once.
#[must_use]
pub fn explained(summary: &Summary, way: &Datagrams) -> u64 {
    let devices = ["flood/eth0", "drain/eth0"];
    let devices = devices
        .iter()
        .filter_map(|device| summary.device_drops.get(*device));
    let node = summary.nodes.iter().find_map(|node| {
        let port = node.counted.ports.get(&summary.flood_interface)?;
        let reasons = LOSS
            .iter()
            .filter_map(|reason| node.counted.drops.get(*reason));
        Some(port.missed + reasons.sum::<u64>())
    });
    way.socket_drops + devices.sum::<u64>() + node.unwrap_or(0)
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
    questions(summary, found);
    let (segments, again) = (summary.tcp_segments, summary.tcp_retransmits);
    if again > segments / SENT_AGAIN {
        found.push(format!(
            "TCP: {again} of {segments} segments sent again, more than one in {SENT_AGAIN}"
        ));
    }
}

/// Each was answered or policy counted it, but for those of the few rounds that were slow.
fn questions(summary: &Summary, found: &mut Vec<String>) {
    let changes = &summary.changes;
    let (rounds, slow) = (changes.rounds, changes.slow);
    if slow > (rounds / SLOW_ROUNDS).max(1) {
        found.push(format!(
            "in {slow} of {rounds} rounds questions were neither answered nor counted by policy, more than one in {SLOW_ROUNDS}"
        ));
    }
    let denied = changes.asked - changes.answered;
    let counted = summary.nodes.iter().flat_map(|node| {
        let drops = &node.counted.drops;
        changes::POLICY
            .iter()
            .filter_map(|reason| drops.get(*reason))
    });
    let counted: u64 = counted.sum();
    if counted + changes.unseen < denied {
        found.push(format!(
            "{denied} questions were not answered, policy counted {counted}, {} were slow",
            changes.unseen
        ));
    }
}

fn growth(seconds: u64, node: &Node, found: &mut Vec<String>) {
    let bound = if seconds < LONG_SECONDS {
        GROWTH_OF_A_SHORT_RUN_KIB
    } else {
        GROWTH_KIB
    };
    for (what, held, bound) in [
        (
            "heap",
            (|held| held.heap_kib) as fn(&Held) -> u64,
            GROWTH_KIB,
        ),
        ("memory outside its heap", Held::outside_heap_kib, bound),
    ] {
        let warm = held(&node.warm);
        let growth = held(&node.loaded).saturating_sub(warm);
        if growth > bound {
            let name = &node.name;
            found.push(format!(
                "{name}: {what} grew by {growth} KiB after the warm-up, from {warm} KiB"
            ));
        }
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

/// None is left but, of each guest of the other node, the last one at most.
fn flows(summary: &Summary, node: &Node, found: &mut Vec<String>) {
    let name = &node.name;
    if let Some(first) = node.flows_left.first() {
        let count = node.flows_left.len();
        found.push(format!(
            "{name}: {count} flows long after the traffic, the first: {first}"
        ));
    }
    let came = summary.guests.came.iter();
    let guests = came.filter(|(home, _)| home != name).count();
    let silent = node.flows_of_silent.len();
    if silent > guests {
        found.push(format!(
            "{name}: {silent} flows with the {guests} guests of the other node"
        ));
    }
}

#[cfg(test)]
mod tests;
