//! A clean summary breaks no rule, and every rule can be broken.

use super::*;
use crate::soak::{
    agent::{bulk, churn::Churned, paced},
    summary::{Balance, Stream},
    vitals::{Counted, Held, Port},
};

fn way(is_paced: bool, sent: u64, received: u64) -> Datagrams {
    let flow = paced::Sent {
        flow: 1,
        datagrams: sent,
        refused: 0,
    };
    Datagrams {
        received,
        ..Datagrams::new("a to b".into(), is_paced, vec![flow])
    }
}

fn node() -> Node {
    let held = Held {
        rss_kib: 20_000,
        heap_kib: 30_000,
        touched_kib: 15_000,
        descriptors: 30,
        threads: 5,
    };
    Node {
        name: "node-a".into(),
        before: held,
        warm: held,
        loaded: held,
        after: held,
        flows_of_silent: vec!["with the one guest of node-b".into()],
        flows_left: vec![],
        counted: Counted::default(),
        balance: Balance {
            received: 100,
            sent: 90,
            missed: 0,
            dropped: [("ipv6".into(), 10)].into(),
        },
    }
}

fn clean() -> Summary {
    let mut summary = Summary {
        seconds: 600,
        streams: vec![Stream {
            name: "a to b".into(),
            sent: bulk::Sent {
                bytes: 1000,
                verified_bytes: 1000,
                seconds: 1.0,
                error: None,
            },
        }],
        datagrams: vec![way(true, 500, 500), way(false, 900, 880)],
        churn: [(
            "a to b".to_owned(),
            Churned {
                count: 9,
                ..Churned::default()
            },
        )]
        .into(),
        flood_interface: "cali-flood".into(),
        flood_on_wire: 905,
        nodes: vec![node()],
        ..Summary::default()
    };
    (summary.guests.count, summary.changes.count) = (5, 5);
    summary.guests.came = ["node-a", "node-b"]
        .map(|node| (node.into(), std::net::Ipv4Addr::LOCALHOST))
        .into();
    let missed = Port {
        missed: 20,
        rx_frames: 885,
        ..Port::default()
    };
    let ports = &mut summary.nodes[0].counted.ports;
    ports.insert("cali-flood".into(), missed);
    summary
}

/// The one rule that a change breaks.
fn broken_by(change: impl FnOnce(&mut Summary)) -> String {
    let mut summary = clean();
    change(&mut summary);
    let found = violations(&summary);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap_or_default()
}

#[test]
fn a_clean_run_breaks_no_rule() {
    assert_eq!(violations(&clean()), Vec::<String>::new());
}

#[test]
fn a_lost_datagram_below_capacity_is_a_violation_even_where_someone_counted_it() {
    let said = broken_by(|summary| {
        summary.datagrams[0].received = 499;
        summary.nodes[0]
            .counted
            .drops
            .insert("device_full".into(), 1);
    });
    assert!(said.contains("1 of 500 lost below capacity"), "{said}");
}

#[test]
fn overload_may_lose_what_is_counted_and_not_one_more() {
    let said = broken_by(|summary| summary.datagrams[1].received = 879);
    assert!(said.contains("21 lost, only 20 counted"), "{said}");
}

#[test]
fn only_what_was_counted_on_the_overloads_own_way_explains_its_loss() {
    let mut summary = clean();
    let elsewhere = Port {
        missed: 7,
        ..Port::default()
    };
    let mut other = node();
    for node in [&mut summary.nodes[0], &mut other] {
        let ports = &mut node.counted.ports;
        ports.insert("cali-other".into(), elsewhere);
        let drops = ["kernel_queue_full", "no_buffer", "policy_egress"];
        node.counted.drops = drops.map(|reason| (reason.into(), 3)).into();
    }
    summary.nodes.push(other);
    for device in ["drain/eth0", "near/eth0", "node-b/cali-drain"] {
        summary.device_drops.insert(device.into(), 5);
    }
    let at_its_port = 20;
    let of_its_node = 3 + 3;
    assert_eq!(
        explained(&summary, &way(false, 1, 0)),
        at_its_port + of_its_node + 5
    );
}

#[test]
fn a_round_may_be_slow_and_more_only_one_in_a_hundred() {
    let slow = |rounds, slow| {
        let mut summary = clean();
        (summary.changes.rounds, summary.changes.slow) = (rounds, slow);
        (summary.changes.asked, summary.changes.unseen) = (8 * rounds, slow);
        summary.changes.answered = 8 * rounds - slow;
        violations(&summary).len()
    };
    assert_eq!([slow(90, 1), slow(90, 2)], [0, 1]);
    assert_eq!([slow(500, 5), slow(500, 6)], [0, 1]);
}

#[test]
fn a_buffer_that_becomes_resident_is_no_growth() {
    let mut summary = clean();
    let loaded = &mut summary.nodes[0].loaded;
    (loaded.rss_kib, loaded.touched_kib) = (30_000, 25_000);
    assert_eq!(violations(&summary), Vec::<String>::new());
}

#[test]
fn a_short_run_may_touch_what_it_has_for_the_first_time() {
    let mut summary = clean();
    summary.nodes[0].loaded.rss_kib += GROWTH_OF_A_SHORT_RUN_KIB;
    assert_eq!(violations(&summary).len(), 1);
    summary.seconds = 20;
    assert_eq!(violations(&summary), Vec::<String>::new());
}

#[test]
fn every_other_rule_can_be_broken() {
    broken_by(|summary| summary.datagrams[0].late = 1);
    broken_by(|summary| summary.datagrams_corrupted = 1);
    broken_by(|summary| summary.served_corrupted = 1);
    broken_by(|summary| summary.streams[0].sent.verified_bytes = 999);
    broken_by(|summary| summary.streams[0].sent.error = Some("reset".into()));
    broken_by(|summary| summary.churn.get_mut("a to b").unwrap().failed = 1);
    broken_by(|summary| summary.flood_on_wire = 906);
    broken_by(|summary| summary.guests.count = 0);
    broken_by(|summary| summary.guests.errors.push("no answer".into()));
    broken_by(|summary| summary.changes.errors.push("not obeyed".into()));
    broken_by(|summary| summary.changes.asked = 1);
    broken_by(|summary| summary.nodes[0].loaded.rss_kib += GROWTH_KIB + 1);
    broken_by(|summary| summary.nodes[0].loaded.heap_kib += GROWTH_KIB + 1);
    broken_by(|summary| summary.nodes[0].after.descriptors += 1);
    broken_by(|summary| summary.nodes[0].after.threads += SPARE_THREADS + 1);
    broken_by(|summary| summary.nodes[0].flows_left = vec![String::new()]);
    broken_by(|summary| summary.nodes[0].flows_of_silent.push(String::new()));
    broken_by(|summary| (summary.tcp_segments, summary.tcp_retransmits) = (1000, 6));
    broken_by(|summary| {
        _ = summary.nodes[0]
            .counted
            .drops
            .insert("spoofed_source".into(), 1);
    });
    broken_by(|summary| summary.nodes[0].balance.sent = 89);
}
