//! Shared nothing: whatever belongs to a flow ends at one worker.

use std::net::Ipv4Addr;

use dataplane::{Action, DropReason, GATEWAY_MAC, Punt, forward, resume};
use packet::icmpv4::Message;
use packet::transport::TcpFlags;
use packet::{Frame, build};

use crate::house::*;

/// The worker of `node` at which the frames of an outcome ended.
#[track_caller]
fn worker(outcome: &Outcome, node: usize) -> usize {
    let mut workers: Vec<usize> = outcome
        .ended_at
        .iter()
        .filter(|(at, _)| *at == node)
        .map(|(_, worker)| *worker)
        .collect();
    workers.dedup();
    assert_eq!(workers.len(), 1, "{outcome:?}");
    workers[0]
}

#[test]
fn both_directions_fragments_and_errors_of_a_flow_end_at_one_worker() {
    let mut used = Vec::new();
    for port in 4000..4032 {
        let mut house = House::build(&walk_through(), 4);
        let question = build::udp(NGINX_MANUAL, NGINX, port, 53, &[1; 3000]);
        let whole = build::udp(NGINX_MANUAL, NGINX, port, 53, b"question");
        let answer = build::udp(NGINX, NGINX_MANUAL, 53, port, b"answer");
        let mut outcomes = vec![house.pod_sends(NGINX_MANUAL, &whole)];
        let arrived = outcomes[0].only_at_pod(NGINX);
        outcomes.push(house.pod_sends(NGINX, &answer));
        let fragments = build::with_header(&question, |ip| ip.dont_fragment = false);
        for piece in cut(&fragments, 1480) {
            outcomes.push(house.pod_sends(NGINX_MANUAL, &piece));
        }
        let error = build::icmp_error(NGINX, Message::PortUnreachable, &arrived);
        outcomes.push(house.pod_sends(NGINX, &error));
        for node in [M02, M03] {
            let mut workers: Vec<usize> = outcomes
                .iter()
                .map(|outcome| worker(outcome, node))
                .collect();
            workers.dedup();
            assert_eq!(workers.len(), 1, "port {port}, node {node}: {workers:?}");
            assert_eq!(
                house.nodes[node].count(|counters| &counters.flows_created),
                1
            );
        }
        assert!(outcomes.iter().all(|outcome| outcome.delivered.len() == 1));
        used.push(worker(&outcomes[0], M02));
    }
    used.sort_unstable();
    used.dedup();
    assert_eq!(used, [0, 1, 2, 3], "32 flows use every worker");
}

#[test]
fn what_the_kernel_spreads_right_is_never_handed_off() {
    let mut house = House::build(&walk_through(), 4);
    for port in 4000..4100 {
        let syn = build::tcp(NGINX_MANUAL, NGINX, port, 80, TcpFlags::SYN, 0, b"");
        house.pod_sends(NGINX_MANUAL, &syn).only_at_pod(NGINX);
        house
            .pod_sends(CLIENT, &build::icmp_echo(CLIENT, NGINX, port, 1, b""))
            .only_at_pod(NGINX);
        house
            .pod_sends(
                CLIENT,
                &build::sctp(CLIENT, NGINX, port, 9, 0, (1, b"init")),
            )
            .only_at_pod(NGINX);
    }
    for node in &house.nodes {
        assert_eq!(node.count(|counters| &counters.handed_off), 0);
    }
}

#[test]
fn what_the_host_sends_is_handed_to_the_owner_of_its_flow() {
    let mut house = House::build(&walk_through(), 4);
    let host = walk_through()[M02].address;
    for port in 4000..4032 {
        let probe = build::tcp(host, NGINX, port, 80, TcpFlags::SYN, 0, b"");
        let answer = build::tcp(NGINX, host, 80, port, TcpFlags::SYN | TcpFlags::ACK, 0, b"");
        let there = house.host_sends(M02, &probe);
        there.only_at_pod(NGINX);
        let back = house.pod_sends(NGINX, &answer);
        back.only_at_host(M02);
        assert_eq!(worker(&there, M02), worker(&back, M02));
    }
    assert!(house.nodes[M02].count(|counters| &counters.handed_off) > 0);
}

#[test]
fn one_worker_needs_no_hand_off() {
    let mut house = House::build(&walk_through(), 1);
    let probe = build::udp(walk_through()[M02].address, NGINX, 1, 2, b"");
    house.host_sends(M02, &probe).only_at_pod(NGINX);
    assert_eq!(house.nodes[M02].count(|counters| &counters.handed_off), 0);
}

/// A frame from CLIENT that another worker owns, and the two workers.
fn handed_off(house: &mut House) -> (Frame, usize, Punt) {
    let port = house.nodes[M02].port_of(CLIENT);
    let packet = build::icmp_echo(CLIENT, NGINX, 1, 1, b"");
    let mut frame = Frame::from_ethernet(&build::ethernet(pod_mac(CLIENT), GATEWAY_MAC, &packet));
    let right = house.nodes[M02].fan_out(port, &frame);
    let wrong = (right + 1) % house.nodes[M02].workers.len();
    let node = &mut house.nodes[M02];
    let action = forward(
        &node.world,
        &mut node.workers[wrong],
        house.now,
        port,
        &mut frame,
    );
    let Action::Punt(punt) = action else {
        panic!("{action:?}")
    };
    (frame, right, punt)
}

/// The ring between workers may hold a frame while a snapshot is replaced.
#[test]
fn a_frame_whose_port_went_away_on_the_ring_is_dropped() {
    let mut house = House::walk_through();
    let (mut frame, right, punt) = handed_off(&mut house);
    let Punt::Worker(owner, arrived) = punt else {
        panic!("{punt:?}")
    };
    assert_eq!(owner.index(), right);
    house.edit(M02, |description| {
        description.workloads.retain(|pod| pod.address != CLIENT);
    });
    let node = &mut house.nodes[M02];
    let action = resume(
        &node.world,
        &mut node.workers[right],
        house.now,
        arrived,
        &mut frame,
    );
    assert_eq!(action, Action::Drop(DropReason::NoPort));
}

#[test]
fn a_frame_on_the_ring_is_judged_by_the_newer_policy() {
    let mut house = House::walk_through();
    let (mut frame, right, punt) = handed_off(&mut house);
    let Punt::Worker(_, arrived) = punt else {
        panic!("{punt:?}")
    };
    house.policy(&deny_all("Egress"));
    let node = &mut house.nodes[M02];
    let action = resume(
        &node.world,
        &mut node.workers[right],
        house.now,
        arrived,
        &mut frame,
    );
    assert_eq!(action, Action::Drop(DropReason::PolicyEgress));
}

#[test]
fn errors_from_routers_on_the_way_find_the_owner_too() {
    let mut house = House::build(&walk_through(), 4);
    for port in 1..40 {
        let question = build::udp(NGINX, OUTSIDE, port, 53, b"");
        house.pod_sends(NGINX, &question).only_at_host(M02);
        let router = Ipv4Addr::new(192, 0, 2, 1);
        let error = build::icmp_error(router, Message::TimeExceeded, &question);
        house.host_sends(M02, &error).only_at_pod(NGINX);
    }
}
