//! The host: what is from it, what is for it, and why nothing can loop.

use std::net::Ipv4Addr;

use dataplane::DropReason;
use packet::icmpv4::{self, Message};
use packet::transport::TcpFlags;
use packet::{build, ipv4};

use crate::house::*;

const SYN: TcpFlags = TcpFlags::SYN;
const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);

fn node(index: usize) -> Ipv4Addr {
    walk_through()[index].address
}

fn tunnel(index: usize) -> Ipv4Addr {
    walk_through()[index].block
}

#[test]
fn host_and_own_pod_reach_each_other_and_the_kernel_takes_the_hops() {
    let mut house = House::walk_through();
    for address in [node(M02), tunnel(M02)] {
        let probe = build::tcp(address, NGINX, 50_000, 80, SYN, 0, b"");
        let arrived = house.host_sends(M02, &probe).only_at_pod(NGINX);
        assert_eq!(arrived, probe);
        let answer = build::tcp(NGINX, address, 80, 50_000, SYN_ACK, 0, b"");
        assert_eq!(house.pod_sends(NGINX, &answer).only_at_host(M02), answer);
    }
    let to_host = build::icmp_echo(NGINX, node(M02), 9, 1, b"");
    assert_eq!(house.pod_sends(NGINX, &to_host).only_at_host(M02), to_host);
    let reply = build::icmp_echo_reply(node(M02), NGINX, 9, 1, b"");
    assert_eq!(house.host_sends(M02, &reply).only_at_pod(NGINX), reply);
}

#[test]
fn host_reaches_a_remote_pod_from_its_tunnel_address() {
    let mut house = House::walk_through();
    let ping = build::icmp_echo(tunnel(MINIKUBE), NGINX, 3, 1, b"");
    let arrived = house.host_sends(MINIKUBE, &ping).only_at_pod(NGINX);
    assert_eq!(header(&arrived).ttl, 63, "one hop, on the pod's node");
    let reply = build::icmp_echo_reply(NGINX, tunnel(MINIKUBE), 3, 1, b"");
    let arrived = house.pod_sends(NGINX, &reply).only_at_host(MINIKUBE);
    assert_eq!(header(&arrived).ttl, 63);
}

#[test]
fn a_pod_reaches_a_remote_host_through_its_own() {
    let mut house = House::walk_through();
    let ping = build::icmp_echo(NGINX, node(M03), 3, 1, b"");
    assert_eq!(house.pod_sends(NGINX, &ping).only_at_host(M02), ping);
}

#[test]
fn the_outside_is_behind_the_host_and_its_replies_come_back() {
    let mut house = House::walk_through();
    house.policy(&deny_all("Ingress"));
    let ping = build::icmp_echo(NGINX, OUTSIDE, 3, 1, b"");
    assert_eq!(house.pod_sends(NGINX, &ping).only_at_host(M02), ping);
    let reply = build::icmp_echo_reply(OUTSIDE, NGINX, 3, 1, b"");
    house.host_sends(M02, &reply).only_at_pod(NGINX);
    let error = build::icmp_error(ROUTER, Message::HostUnreachable, &ping);
    let arrived = house.host_sends(M02, &error).only_at_pod(NGINX);
    assert_eq!(arrived, error, "related, the quoted packet intact");
}

#[test]
fn host_probes_pass_under_default_deny_other_nodes_do_not() {
    let mut house = House::walk_through();
    house.policy(&(deny_all("Ingress") + &deny_all("Egress")));
    for (port, address) in [(1, node(M02)), (2, tunnel(M02))] {
        let probe = build::tcp(address, NGINX, port, 80, SYN, 0, b"");
        house.host_sends(M02, &probe).only_at_pod(NGINX);
        let answer = build::tcp(NGINX, address, 80, port, SYN_ACK, 0, b"");
        house.pod_sends(NGINX, &answer).only_at_host(M02);
    }
    let probe = build::tcp(tunnel(M03), NGINX, 3, 80, SYN, 0, b"");
    house
        .host_sends(M03, &probe)
        .died_of(M02, DropReason::PolicyIngress);
    // What the own host forwards for others is not the host's.
    for stranger in [OUTSIDE, node(M03)] {
        let probe = build::tcp(stranger, NGINX, 4, 80, SYN, 0, b"");
        house
            .host_sends(M02, &probe)
            .died_of(M02, DropReason::PolicyIngress);
    }
}

/// A flow that a hostPort (DNAT in the host) gave to a pod: the reply to a
/// local pod's address must go back through the host, which undoes the NAT.
#[test]
fn a_hairpin_through_a_host_port_returns_through_the_host() {
    let mut house = House::walk_through();
    let host_port = 8080;
    let syn = build::tcp(CLIENT, node(M02), 4000, host_port, SYN, 0, b"");
    assert_eq!(house.pod_sends(CLIENT, &syn).only_at_host(M02), syn);
    // The host has translated the destination.
    let translated = build::tcp(CLIENT, NGINX, 4000, 80, SYN, 0, b"");
    house.host_sends(M02, &translated).only_at_pod(NGINX);
    let answer = build::tcp(NGINX, CLIENT, 80, 4000, SYN_ACK, 0, b"");
    assert_eq!(house.pod_sends(NGINX, &answer).only_at_host(M02), answer);
    // And back.
    let restored = build::tcp(node(M02), CLIENT, host_port, 4000, SYN_ACK, 0, b"");
    house.host_sends(M02, &restored).only_at_pod(CLIENT);
    // An error about the answer goes the other way round.
    let error = build::icmp_error(CLIENT, Message::PortUnreachable, &restored);
    house.pod_sends(CLIENT, &error).only_at_host(M02);
}

#[test]
fn a_host_port_of_another_nodes_pod_returns_through_the_host_that_translated() {
    let mut house = House::walk_through();
    let translated = build::tcp(CLIENT, NGINX_MANUAL, 4000, 80, SYN, 0, b"");
    house.host_sends(M02, &translated).only_at_pod(NGINX_MANUAL);
    let answer = build::tcp(NGINX_MANUAL, CLIENT, 80, 4000, SYN_ACK, 0, b"");
    let arrived = house.pod_sends(NGINX_MANUAL, &answer).only_at_host(M02);
    assert_eq!(header(&arrived).dst, CLIENT);
}

#[test]
fn an_error_about_a_hairpin_reply_goes_to_the_pod_that_sent_it() {
    let mut house = House::walk_through();
    let translated = build::tcp(CLIENT, NGINX, 4000, 80, SYN, 0, b"");
    house.host_sends(M02, &translated).only_at_pod(NGINX);
    let answer = build::tcp(NGINX, CLIENT, 80, 4000, SYN_ACK, 0, b"");
    let error = build::icmp_error(CLIENT, Message::PortUnreachable, &answer);
    house.host_sends(M02, &error).only_at_pod(NGINX);
}

#[test]
fn what_lies_in_the_pool_never_goes_to_the_host() {
    let mut house = House::walk_through();
    let unused = [
        (Ipv4Addr::new(10, 244, 205, 222), DropReason::NoWorkload),
        (Ipv4Addr::new(10, 244, 0, 1), DropReason::NoRoute),
        (Ipv4Addr::new(10, 244, 255, 255), DropReason::NoRoute),
    ];
    for (target, reason) in unused {
        let packet = build::udp(NGINX, target, 1, 2, b"x");
        let outcome = house.pod_sends(NGINX, &packet);
        assert_eq!(outcome.dropped, [(M02, reason)]);
        assert!(outcome.at(Place::Host(M02)).is_empty());
        let from_host = build::udp(node(M02), target, 1, 2, b"x");
        let outcome = house.host_sends(M02, &from_host);
        assert_eq!(outcome.dropped, [(M02, reason)]);
        let tunneled = build::udp(NGINX_MANUAL, target, 1, 2, b"x");
        let outcome = house.tunneled(M03, M02, &tunneled);
        assert_eq!(outcome.dropped[0], (M02, reason));
        assert!(outcome.at(Place::Host(M02)).is_empty());
    }
}

#[test]
fn no_route_in_the_pool_is_told_to_pod_and_host() {
    let mut house = House::walk_through();
    let nowhere = Ipv4Addr::new(10, 244, 7, 7);
    // The host's kernel believes no packet from an address of its own.
    let senders = [
        (NGINX, Place::Pod(NGINX), tunnel(M02)),
        (node(M02), Place::Host(M02), nowhere),
    ];
    for (sender, place, source) in senders {
        let packet = build::udp(sender, nowhere, 1, 2, b"x");
        let outcome = match place {
            Place::Pod(pod) => house.pod_sends(pod, &packet),
            Place::Host(node) => house.host_sends(node, &packet),
        };
        let error = outcome.answer_at(place);
        let icmp = icmpv4::Header::parse(payload(&error)).unwrap();
        assert_eq!((icmp.kind, icmp.code), (3, 0));
        assert_eq!((header(&error).src, header(&error).dst), (source, sender));
    }
}

#[test]
fn what_the_host_sends_outside_is_not_given_back_to_it() {
    let mut house = House::walk_through();
    for target in [OUTSIDE, node(M03), node(M02), tunnel(M02)] {
        let packet = build::udp(node(M02), target, 1, 2, b"x");
        let outcome = house.host_sends(M02, &packet);
        assert_eq!(outcome.dropped, [(M02, DropReason::NoRoute)]);
        let errors = outcome.at(Place::Host(M02));
        assert!(
            errors.iter().all(|packet| header(packet).src == target),
            "{outcome:?}"
        );
    }
}

/// Two nodes that each think the other owns a block: the TTL ends it.
#[test]
fn a_loop_that_the_configuration_makes_ends_with_the_ttl() {
    let mut house = House::walk_through();
    let lost: ipnet::Ipv4Net = "10.244.50.0/26".parse().unwrap();
    for (at, toward) in [(M02, "minikube-m03"), (M03, "minikube-m02")] {
        house.edit(at, |description| {
            let mut peers = description.peers.iter_mut();
            let peer = peers.find(|peer| peer.name == toward).unwrap();
            peer.tunneled_blocks.push(lost);
        });
    }
    let packet = build::udp(NGINX, lost.addr(), 1, 2, b"x");
    let outcome = house.pod_sends(NGINX, &build::with_header(&packet, |ip| ip.ttl = 255));
    assert!(outcome.walks <= 255, "{} walks", outcome.walks);
    let source_is_foreign = [
        (M03, DropReason::DecapSource),
        (M02, DropReason::DecapSource),
    ];
    assert!(
        outcome
            .dropped
            .iter()
            .all(|drop| source_is_foreign.contains(drop) || drop.1 == DropReason::TtlExceeded),
        "{outcome:?}"
    );
}

#[test]
fn ipv6_from_the_host_is_dropped_by_its_name() {
    let mut house = House::walk_through();
    let mut router_solicitation = vec![0x60, 0, 0, 0, 0, 8, 58, 255];
    router_solicitation.resize(ipv4::HEADER_LEN * 3, 0);
    house
        .host_sends(M02, &router_solicitation)
        .died_of(M02, DropReason::Ipv6);
}

#[test]
fn a_pod_reaches_itself() {
    let mut house = House::walk_through();
    let hairpin = build::tcp(NGINX, NGINX, 4000, 80, SYN, 0, b"");
    assert_eq!(
        header(&house.pod_sends(NGINX, &hairpin).only_at_pod(NGINX)).dst,
        NGINX
    );
    let answer = build::tcp(NGINX, NGINX, 80, 4000, SYN_ACK, 0, b"");
    house.pod_sends(NGINX, &answer).only_at_pod(NGINX);
}
