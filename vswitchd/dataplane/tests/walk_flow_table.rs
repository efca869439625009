//! The table of flows is bounded, and fragments find their flow.

use std::time::Duration;

use dataplane::DropReason;
use packet::transport::TcpFlags;
use packet::{build, ipv4};

use crate::house::*;

const ACK: TcpFlags = TcpFlags::ACK;

#[test]
fn a_full_table_evicts_the_oldest_unreplied_flow_and_counts_it() {
    let mut house = House::walk_through();
    house.nodes[M02].start(1, 2, house.now);
    let asks = |port| build::udp(NGINX, CLIENT, port, 53, b"");
    for port in [1, 2, 3] {
        house.pod_sends(NGINX, &asks(port)).only_at_pod(CLIENT);
        house.sleep(Duration::from_secs(1));
    }
    let node = &house.nodes[M02];
    assert_eq!(node.count(|counters| &counters.flows_evicted), 1);
    assert_eq!(node.count(|counters| &counters.flows), 2);
    let mut left: Vec<u16> = node.workers[0]
        .flows(house.now, 9)
        .iter()
        .map(|(flow, _)| flow.original().src_port)
        .collect();
    left.sort_unstable();
    assert_eq!(left, [2, 3]);
}

#[test]
fn a_table_full_of_open_connections_refuses_newcomers_and_keeps_them() {
    let mut house = House::walk_through();
    house.nodes[M02].start(1, 2, house.now);
    let open = |port| build::tcp(NGINX, CLIENT, port, 80, ACK, 0, b"");
    for port in [1, 2] {
        house.pod_sends(NGINX, &open(port)).only_at_pod(CLIENT);
        let answer = build::tcp(CLIENT, NGINX, 80, port, ACK, 0, b"");
        house.pod_sends(CLIENT, &answer).only_at_pod(NGINX);
    }
    house
        .pod_sends(NGINX, &open(3))
        .died_of(M02, DropReason::ConntrackFull);
    for port in [1, 2] {
        house.pod_sends(NGINX, &open(port)).only_at_pod(CLIENT);
    }
}

#[test]
fn idle_flows_expire_and_are_counted() {
    let mut house = House::walk_through();
    house
        .pod_sends(NGINX, &build::udp(NGINX, CLIENT, 1, 53, b""))
        .only_at_pod(CLIENT);
    assert_eq!(
        house.nodes[M02].count(|counters| &counters.flows_created),
        1
    );
    house.sleep(Duration::from_secs(31));
    assert_eq!(
        house.nodes[M02].count(|counters| &counters.flows_expired),
        1
    );
    assert_eq!(house.nodes[M02].count(|counters| &counters.flows), 0);
}

#[test]
fn fragments_follow_their_first() {
    let mut house = House::walk_through();
    let packet = build::with_header(
        &build::udp(NGINX_MANUAL, NGINX, 4000, 53, &[3; 3000]),
        |ip| {
            ip.dont_fragment = false;
            ip.identification = 99;
        },
    );
    let pieces = cut(&packet, 1480);
    let arrived: Vec<_> = pieces
        .iter()
        .map(|piece| house.pod_sends(NGINX_MANUAL, piece).only_at_pod(NGINX))
        .collect();
    assert_eq!(
        reassemble(&arrived),
        build::with_header(&packet, |ip| ip.ttl = 62)
    );

    house.policy(&deny_all("Ingress"));
    let outcome = house.pod_sends(NGINX_MANUAL, &pieces[0]);
    outcome.died_of(M02, DropReason::PolicyIngress);
    for piece in &pieces[1..] {
        let outcome = house.pod_sends(NGINX_MANUAL, piece);
        assert_eq!(outcome.delivered.len(), 0, "{outcome:?}");
    }
    // Before their first, none pass.
    house.policy("");
    let early = build::with_header(&pieces[1], |ip| ip.identification = 100);
    house
        .pod_sends(NGINX_MANUAL, &early)
        .died_of(M03, DropReason::FragmentWithoutFirst);
}

#[test]
fn a_fragment_that_would_overwrite_a_tcp_header_is_refused() {
    let mut house = House::walk_through();
    let packet = build::tcp(NGINX, CLIENT, 1, 80, ACK, 0, &[0; 64]);
    let overlapping = [&packet[..20], &packet[28..60]].concat();
    let overlapping = build::with_header(&overlapping, |ip| {
        ip.dont_fragment = false;
        ip.fragment_offset_bytes = 8;
        ip.total_len = ipv4::HEADER_LEN + 32;
    });
    house
        .pod_sends(NGINX, &overlapping)
        .died_of(M02, DropReason::FragmentTiny);
}
