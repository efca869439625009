//! The numbered traps of NetworkPolicy that need flow state or a device to show.
//!
//! The numbers are those of the index in `policy/tests/traps/main.rs`, which holds the others. A
//! trap that both halves can fall into stands in both.

use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::{DropReason, GATEWAY_MAC};
use packet::icmpv4::Message;
use packet::transport::TcpFlags;
use packet::{EtherType, Protocol, build};

use crate::house::*;

const SYN: TcpFlags = TcpFlags::SYN;
const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
const ACK: TcpFlags = TcpFlags::ACK;
/// A service that the host translates.
const CLUSTER_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

fn syn(from: Ipv4Addr, to: Ipv4Addr, src_port: u16, dst_port: u16) -> Vec<u8> {
    build::tcp(from, to, src_port, dst_port, SYN, 0, b"")
}

/// An SCTP packet with a checksum, though not its own: nobody on the way has to know.
fn sctp(from: Ipv4Addr, to: Ipv4Addr, ports: (u16, u16), chunk: (u8, &[u8])) -> Vec<u8> {
    let mut packet = build::sctp(from, to, ports.0, ports.1, 7, chunk);
    packet[28..32].copy_from_slice(&[0xc0, 0xff, 0xee, 0x37]);
    packet
}

/// nginx takes what the rules say, everybody else takes everything.
fn nginx_takes(rules: &str) -> House {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "nginx",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        rules,
    ));
    house
}

/// nginx-manual, on the other node, takes nothing.
fn manual_takes_nothing() -> House {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "manual",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    ));
    house
}

fn sealed() -> House {
    let mut house = House::walk_through();
    house.policy(&(deny_all("Ingress") + &deny_all("Egress")));
    house
}

#[test]
fn trap_19_the_port_is_the_destinations_after_the_hosts_nat_never_the_source() {
    let mut house = nginx_takes("ingress: [{ports: [{port: 80}]}]");
    // The client asked for 8080 of the node; the host made 80 of nginx of it.
    let asked = syn(CLIENT, walk_through()[M02].address, 4000, 8080);
    house.pod_sends(CLIENT, &asked).only_at_host(M02);
    house
        .host_sends(M02, &syn(CLIENT, NGINX, 4000, 80))
        .only_at_pod(NGINX);
    house
        .host_sends(M02, &syn(CLIENT, NGINX, 4001, 8080))
        .died_of(M02, DropReason::PolicyIngress);
    house
        .pod_sends(CLIENT, &syn(CLIENT, NGINX, 80, 4000))
        .died_of(M02, DropReason::PolicyIngress);
}

#[test]
fn trap_20_behind_the_hosts_nat_egress_is_judged_on_the_backend() {
    let mut house = House::walk_through();
    let rules = "egress: [{to: [{ipBlock: {cidr: 10.96.0.0/12}}]}, \
                 {to: [{podSelector: {matchLabels: {app: nginx-manual}}}]}]";
    house.policy(&manifest(
        "client",
        "{matchLabels: {app: client}}",
        "Egress",
        rules,
    ));
    house
        .pod_sends(CLIENT, &syn(CLIENT, CLUSTER_IP, 4000, 80))
        .only_at_host(M02);
    house
        .host_sends(M02, &syn(CLIENT, NGINX_MANUAL, 4000, 80))
        .only_at_pod(NGINX_MANUAL);
    // The same service, another backend: the service's address was no free pass.
    house
        .pod_sends(CLIENT, &syn(CLIENT, CLUSTER_IP, 4001, 80))
        .only_at_host(M02);
    house
        .host_sends(M02, &syn(CLIENT, NGINX, 4001, 80))
        .died_of(M02, DropReason::PolicyEgress);
}

/// The host translates what the pod has been allowed to send it. Until the data plane translates
/// itself, a pod whose egress is restricted needs a rule for the services' addresses as well.
#[test]
fn trap_20_before_the_hosts_nat_a_service_is_an_outside_address() {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "client",
        "{matchLabels: {app: client}}",
        "Egress",
        "egress: [{to: [{podSelector: {matchLabels: {app: nginx-manual}}}]}]",
    ));
    house
        .pod_sends(CLIENT, &syn(CLIENT, CLUSTER_IP, 4000, 80))
        .died_of(M02, DropReason::PolicyEgress);
    house
        .pod_sends(CLIENT, &syn(CLIENT, NGINX_MANUAL, 4000, 80))
        .only_at_pod(NGINX_MANUAL);
}

#[test]
fn trap_31_only_the_own_node_reaches_its_pods_whatever_policy_says() {
    let mut house = sealed();
    let own = walk_through()[M02].address;
    house
        .host_sends(M02, &syn(own, NGINX, 4000, 80))
        .only_at_pod(NGINX);
    let answer = build::tcp(NGINX, own, 80, 4000, SYN_ACK, 0, b"");
    house.pod_sends(NGINX, &answer).only_at_host(M02);
    let other = walk_through()[M03].block;
    house
        .host_sends(M03, &syn(other, NGINX, 4000, 80))
        .died_of(M02, DropReason::PolicyIngress);
    // An address of the node that does not come from the node is somebody else's.
    house
        .host_sends(M02, &syn(OUTSIDE, NGINX, 4000, 80))
        .died_of(M02, DropReason::PolicyIngress);
}

#[test]
fn trap_32_a_sealed_pod_reaches_itself_also_through_its_service() {
    let mut house = sealed();
    house
        .pod_sends(NGINX, &syn(NGINX, NGINX, 4000, 80))
        .only_at_pod(NGINX);
    let answer = build::tcp(NGINX, NGINX, 80, 4000, SYN_ACK, 0, b"");
    house.pod_sends(NGINX, &answer).only_at_pod(NGINX);
    // Its service led back to it.
    house
        .host_sends(M02, &syn(NGINX, NGINX, 4001, 80))
        .only_at_pod(NGINX);
}

#[test]
fn trap_33_replies_and_related_errors_pass_without_a_rule_of_their_own() {
    let mut house = manual_takes_nothing();
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"question");
    house.pod_sends(NGINX_MANUAL, &question).only_at_pod(NGINX);
    let reply = build::udp(NGINX, NGINX_MANUAL, 53, 4000, b"answer");
    house.pod_sends(NGINX, &reply).only_at_pod(NGINX_MANUAL);
    let too_big = Message::FragmentationNeeded { next_hop_mtu: 1300 };
    for message in [too_big, Message::PortUnreachable, Message::HostUnreachable] {
        let error = build::icmp_error(NGINX, message, &question);
        house.pod_sends(NGINX, &error).only_at_pod(NGINX_MANUAL);
    }
    // An error about nothing it sent is related to nothing.
    let never = build::udp(NGINX_MANUAL, NGINX, 4001, 53, b"");
    let error = build::icmp_error(NGINX, Message::PortUnreachable, &never);
    house
        .pod_sends(NGINX, &error)
        .died_of(M02, DropReason::IcmpUnrelated);
    house
        .pod_sends(NGINX, &build::udp(NGINX, NGINX_MANUAL, 53, 4001, b""))
        .died_of(M03, DropReason::PolicyIngress);
}

#[test]
fn trap_34_an_open_connection_is_cut_or_kept_as_the_denying_policy_says() {
    for (annotation, goes_on) in [
        ("", false),
        ("vswitchd/established: recheck", false),
        ("vswitchd/established: keep", true),
    ] {
        let mut house = House::walk_through();
        house
            .pod_sends(NGINX_MANUAL, &syn(NGINX_MANUAL, NGINX, 4000, 80))
            .only_at_pod(NGINX);
        let answer = build::tcp(NGINX, NGINX_MANUAL, 80, 4000, SYN_ACK, 0, b"");
        house.pod_sends(NGINX, &answer).only_at_pod(NGINX_MANUAL);
        house.policy(&annotated(&deny_all("Ingress"), annotation));
        let data = build::tcp(NGINX_MANUAL, NGINX, 4000, 80, ACK, 0, b"data");
        let outcome = house.pod_sends(NGINX_MANUAL, &data);
        match goes_on {
            true => drop(outcome.only_at_pod(NGINX)),
            false => outcome.died_of(M02, DropReason::PolicyIngress),
        }
        // A new connection is refused either way.
        house
            .pod_sends(NGINX_MANUAL, &syn(NGINX_MANUAL, NGINX, 4001, 80))
            .died_of(M02, DropReason::PolicyIngress);
    }
}

#[test]
fn trap_35_a_pod_is_closed_until_policy_knows_it() {
    let mut house = House::walk_through();
    let unknown = Ipv4Addr::new(10, 244, 205, 199);
    house.edit(M02, |description| {
        let nginx = &mut description.workloads[0];
        nginx.address = unknown;
        nginx.mac = pod_mac(unknown);
    });
    // There is no policy at all, and still nothing passes.
    house
        .pod_sends(unknown, &syn(unknown, CLIENT, 4000, 80))
        .died_of(M02, DropReason::PolicyEgress);
    house
        .pod_sends(CLIENT, &syn(CLIENT, unknown, 4000, 80))
        .died_of(M02, DropReason::PolicyIngress);
    house
        .pod_sends(NGINX_MANUAL, &syn(NGINX_MANUAL, unknown, 4000, 80))
        .died_of(M02, DropReason::PolicyIngress);
}

#[test]
fn trap_36_an_udp_flow_lives_by_either_ends_packets_and_then_ends_for_both() {
    let mut house = manual_takes_nothing();
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"question");
    let answer = build::udp(NGINX, NGINX_MANUAL, 53, 4000, b"answer");
    let seconds = Duration::from_secs;

    // Nobody answered for 30 seconds: the answer is unasked by then.
    house.pod_sends(NGINX_MANUAL, &question).only_at_pod(NGINX);
    house.sleep(seconds(31));
    house
        .pod_sends(NGINX, &answer)
        .died_of(M03, DropReason::PolicyIngress);

    // Once answered it lives for 120 seconds after the last packet of either end.
    house.sleep(seconds(600));
    house.pod_sends(NGINX_MANUAL, &question).only_at_pod(NGINX);
    house.sleep(seconds(29));
    house.pod_sends(NGINX, &answer).only_at_pod(NGINX_MANUAL);
    house.sleep(seconds(119));
    house.pod_sends(NGINX_MANUAL, &question).only_at_pod(NGINX);
    house.sleep(seconds(119));
    house.pod_sends(NGINX, &answer).only_at_pod(NGINX_MANUAL);
    house.sleep(seconds(119));
    house.pod_sends(NGINX, &answer).only_at_pod(NGINX_MANUAL);
    house.sleep(seconds(121));
    house
        .pod_sends(NGINX, &answer)
        .died_of(M03, DropReason::PolicyIngress);
}

#[test]
fn trap_37_sctp_is_matched_tracked_and_left_byte_for_byte() {
    let mut house = House::walk_through();
    let server = manifest(
        "server",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        "ingress: [{ports: [{protocol: SCTP, port: 9003}]}]",
    );
    let client = manifest(
        "client",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    );
    house.policy(&(server + &client));
    let init = sctp(NGINX_MANUAL, NGINX, (40_000, 9003), (1, b"an INIT chunk"));
    let arrived = house.pod_sends(NGINX_MANUAL, &init).only_at_pod(NGINX);
    assert_eq!(payload(&arrived), payload(&init));
    let ack = sctp(NGINX, NGINX_MANUAL, (9003, 40_000), (2, b"an INIT ACK"));
    let arrived = house.pod_sends(NGINX, &ack).only_at_pod(NGINX_MANUAL);
    assert_eq!(payload(&arrived), payload(&ack));
    let denied = [
        sctp(NGINX_MANUAL, NGINX, (40_000, 9005), (1, b"INIT")),
        syn(NGINX_MANUAL, NGINX, 40_000, 9003),
        build::udp(NGINX_MANUAL, NGINX, 40_000, 9003, b""),
    ];
    for packet in denied {
        house
            .pod_sends(NGINX_MANUAL, &packet)
            .died_of(M02, DropReason::PolicyIngress);
    }
}

#[test]
fn trap_38_later_fragments_have_the_verdict_of_their_first() {
    let mut house = nginx_takes("ingress: [{ports: [{port: 53, protocol: UDP}]}]");
    let fragments = |dst_port, identification| {
        let whole = build::udp(NGINX_MANUAL, NGINX, 4000, dst_port, &[3; 3000]);
        let whole = build::with_header(&whole, |ip| {
            ip.dont_fragment = false;
            ip.identification = identification;
        });
        cut(&whole, 1480)
    };
    for piece in fragments(53, 1) {
        house.pod_sends(NGINX_MANUAL, &piece).only_at_pod(NGINX);
    }
    let denied = fragments(54, 2);
    house
        .pod_sends(NGINX_MANUAL, &denied[0])
        .died_of(M02, DropReason::PolicyIngress);
    for piece in &denied[1..] {
        let outcome = house.pod_sends(NGINX_MANUAL, piece);
        assert_eq!(outcome.delivered.len(), 0, "{outcome:?}");
    }
    // One that comes before its first has no verdict yet.
    house
        .pod_sends(NGINX_MANUAL, &fragments(53, 3)[1])
        .died_of(M03, DropReason::FragmentWithoutFirst);
}

#[test]
fn trap_39_ipv6_is_not_forwarded_yet_so_no_policy_is_asked_about_it() {
    // What policy would say of neighbour discovery is shown in the policy crate.
    for mut house in [House::walk_through(), sealed()] {
        let bytes = build::ethernet_of(pod_mac(NGINX), GATEWAY_MAC, EtherType::IPV6, &[0x60; 40]);
        house
            .pod_sends_ethernet(NGINX, &bytes)
            .died_of(M02, DropReason::Ipv6);
    }
}

#[test]
fn trap_40_what_is_neither_ip_nor_an_arp_question_ends_at_the_port() {
    // Policy allows everything here; none of this is its business.
    let mut house = House::walk_through();
    let frame = |ethertype, dst| build::ethernet_of(pod_mac(NGINX), dst, ethertype, &[0x42; 60]);
    // A length instead of a type is LLC: spanning tree, IPX.
    let llc = EtherType(60);
    let lldp = EtherType(0x88cc);
    for (ethertype, reason) in [
        (llc, DropReason::EtherType),
        (lldp, DropReason::EtherType),
        (EtherType::VLAN, DropReason::Vlan),
    ] {
        house
            .pod_sends_ethernet(NGINX, &frame(ethertype, GATEWAY_MAC))
            .died_of(M02, reason);
    }
    let lie = build::arp_reply((pod_mac(NGINX), CLIENT), (GATEWAY_MAC, NGINX));
    let outcome = house.pod_sends_ethernet(NGINX, &lie);
    assert!(outcome.delivered.is_empty(), "{outcome:?}");
    // A question is answered to the one who asked, even where policy denies everything.
    let mut house = sealed();
    let question = build::arp_request(pod_mac(NGINX), NGINX, Ipv4Addr::new(169, 254, 1, 1));
    let outcome = house.pod_sends_ethernet(NGINX, &question);
    assert_eq!(outcome.delivered.len(), 1, "{outcome:?}");
    assert_eq!(outcome.delivered[0].place, Place::Pod(NGINX));
    // And IP of a protocol nobody has a rule for is denied like any other.
    house
        .pod_sends(NGINX, &build::ipv4(NGINX, CLIENT, Protocol(47), b"GRE"))
        .died_of(M02, DropReason::PolicyEgress);
}
