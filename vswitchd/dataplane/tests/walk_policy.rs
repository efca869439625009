//! NetworkPolicy on the walk: both ends are asked, each on its own node.

use dataplane::DropReason;
use packet::transport::TcpFlags;
use packet::{Protocol, build};

use crate::house::*;

fn ping(from: std::net::Ipv4Addr, to: std::net::Ipv4Addr, id: u16) -> Vec<u8> {
    build::icmp_echo(from, to, id, 1, b"")
}

/// The walk-through's own demonstration.
#[test]
fn default_deny_ingress_stops_both_directions_and_allow_all_heals_them() {
    let mut house = House::walk_through();
    house.policy(&deny_all("Ingress"));
    let there = ping(NGINX_MANUAL, NGINX, 1);
    let back = ping(NGINX, NGINX_MANUAL, 2);
    house
        .pod_sends(NGINX_MANUAL, &there)
        .died_of(M02, DropReason::PolicyIngress);
    house
        .pod_sends(NGINX, &back)
        .died_of(M03, DropReason::PolicyIngress);

    house.policy(&(deny_all("Ingress") + &allow_all_ingress()));
    house.pod_sends(NGINX_MANUAL, &there).only_at_pod(NGINX);
    house.pod_sends(NGINX, &back).only_at_pod(NGINX_MANUAL);
}

#[test]
fn egress_is_judged_before_the_packet_leaves_its_node() {
    let mut house = House::walk_through();
    house.policy(&deny_all("Egress"));
    for target in [CLIENT, NGINX_MANUAL, OUTSIDE, walk_through()[M02].address] {
        house
            .pod_sends(NGINX, &ping(NGINX, target, 1))
            .died_of(M02, DropReason::PolicyEgress);
    }
    assert!(house.underlay.log.is_empty());
}

#[test]
fn on_one_node_both_ends_are_asked() {
    let mut house = House::walk_through();
    house.policy(&deny_all("Ingress"));
    house
        .pod_sends(NGINX, &ping(NGINX, CLIENT, 1))
        .died_of(M02, DropReason::PolicyIngress);
    house.policy(&(deny_all("Ingress") + &deny_all("Egress") + &allow_all_ingress()));
    house
        .pod_sends(NGINX, &ping(NGINX, CLIENT, 1))
        .died_of(M02, DropReason::PolicyEgress);
}

#[test]
fn ports_are_destination_ports_and_deny_icmp() {
    let mut house = House::walk_through();
    let web = "ingress: [{ports: [{port: 80}, {port: 53, protocol: UDP}]}]";
    house.policy(&manifest(
        "web",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        web,
    ));
    let tcp = |sport, dport| build::tcp(CLIENT, NGINX, sport, dport, TcpFlags::SYN, 0, b"");
    house.pod_sends(CLIENT, &tcp(4000, 80)).only_at_pod(NGINX);
    house
        .pod_sends(CLIENT, &build::udp(CLIENT, NGINX, 1, 53, b""))
        .only_at_pod(NGINX);
    let denied = [
        tcp(80, 4000),
        tcp(4000, 53),
        build::udp(CLIENT, NGINX, 1, 80, b""),
        ping(CLIENT, NGINX, 80),
        build::sctp(CLIENT, NGINX, 1, 80, 0, (1, b"init")),
        build::ipv4(CLIENT, NGINX, Protocol(47), b"GRE"),
    ];
    for packet in denied {
        house
            .pod_sends(CLIENT, &packet)
            .died_of(M02, DropReason::PolicyIngress);
    }
}

#[test]
fn labels_choose_peers_across_nodes() {
    let mut house = House::walk_through();
    let from_manual = "ingress: [{from: [{podSelector: {matchLabels: {app: nginx-manual}}}]}]";
    house.policy(&manifest(
        "from-manual",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        from_manual,
    ));
    house
        .pod_sends(NGINX_MANUAL, &ping(NGINX_MANUAL, NGINX, 1))
        .only_at_pod(NGINX);
    house
        .pod_sends(BUSYBOX, &ping(BUSYBOX, NGINX, 1))
        .died_of(M02, DropReason::PolicyIngress);
    house
        .pod_sends(CLIENT, &ping(CLIENT, NGINX, 1))
        .died_of(M02, DropReason::PolicyIngress);
}

#[test]
fn a_pod_that_policy_does_not_know_is_closed_both_ways() {
    let mut house = House::walk_through();
    let stranger = std::net::Ipv4Addr::new(10, 244, 205, 200);
    house.edit(M02, |description| {
        description.workloads[0].address = stranger;
    });
    house
        .pod_sends(CLIENT, &ping(CLIENT, stranger, 1))
        .died_of(M02, DropReason::PolicyIngress);
    let node = house.node_of(stranger);
    let port = house.nodes[node].port_of(stranger);
    // The pod's interface is the same, its address is not in the policy table.
    let packet = ping(stranger, CLIENT, 1);
    let bytes = build::ethernet(pod_mac(NGINX), dataplane::GATEWAY_MAC, &packet);
    let outcome = house.put(node, port, packet::Frame::from_ethernet(&bytes));
    outcome.died_of(M02, DropReason::PolicyEgress);
}
