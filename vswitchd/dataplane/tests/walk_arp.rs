//! ARP: every address is behind ee:ee:ee:ee:ee:ee, except the pod's own.

use std::net::Ipv4Addr;

use dataplane::{DropReason, GATEWAY_IP, GATEWAY_MAC};
use packet::arp::{Operation, Packet};
use packet::{EtherType, MacAddr, arp, build, ethernet};

use crate::house::{CLIENT, House, M02, NGINX, NGINX_MANUAL, OUTSIDE, Place, pod_mac};

fn ask(house: &mut House, target: Ipv4Addr) -> Packet {
    let request = build::arp_request(pod_mac(NGINX), NGINX, target);
    let outcome = house.pod_sends_ethernet(NGINX, &request);
    let [answer] = &outcome.delivered[..] else {
        panic!("expected one answer for {target}: {outcome:?}");
    };
    assert_eq!(answer.place, Place::Pod(NGINX));
    let link = ethernet::Header::parse(answer.frame.link()).unwrap();
    assert_eq!((link.src, link.dst), (GATEWAY_MAC, pod_mac(NGINX)));
    assert_eq!(link.ethertype, EtherType::ARP);
    assert_eq!(answer.frame.packet().len(), arp::LEN);
    Packet::parse(answer.frame.packet()).unwrap()
}

#[test]
fn any_address_but_the_pods_own_is_behind_the_gateway_mac() {
    let mut house = House::walk_through();
    let unused = Ipv4Addr::new(10, 244, 205, 250);
    for target in [GATEWAY_IP, CLIENT, NGINX_MANUAL, OUTSIDE, unused] {
        let reply = ask(&mut house, target);
        assert_eq!(
            reply,
            Packet {
                operation: Operation::Reply,
                sender_mac: GATEWAY_MAC,
                sender_ip: target,
                target_mac: pod_mac(NGINX),
                target_ip: NGINX,
            }
        );
    }
    assert_eq!(house.nodes[M02].count(|counters| &counters.arp_answered), 5);
}

#[test]
fn a_refresh_by_unicast_is_answered_too() {
    let mut house = House::walk_through();
    let mut request = build::arp_request(pod_mac(NGINX), NGINX, GATEWAY_IP);
    request[..6].copy_from_slice(&GATEWAY_MAC.0);
    let outcome = house.pod_sends_ethernet(NGINX, &request);
    assert_eq!(outcome.delivered.len(), 1);
}

#[test]
fn duplicate_address_detection_meets_silence() {
    let mut house = House::walk_through();
    for sender in [Ipv4Addr::UNSPECIFIED, NGINX] {
        let probe = build::arp_request(pod_mac(NGINX), sender, NGINX);
        house
            .pod_sends_ethernet(NGINX, &probe)
            .died_of(M02, DropReason::ArpProbe);
    }
}

#[test]
fn a_probe_for_another_address_is_answered_without_naming_anyone() {
    let mut house = House::walk_through();
    let probe = build::arp_request(pod_mac(NGINX), Ipv4Addr::UNSPECIFIED, GATEWAY_IP);
    let outcome = house.pod_sends_ethernet(NGINX, &probe);
    let reply = Packet::parse(outcome.delivered[0].frame.packet()).unwrap();
    assert_eq!(
        (reply.sender_ip, reply.target_ip),
        (GATEWAY_IP, Ipv4Addr::UNSPECIFIED)
    );
}

#[test]
fn who_claims_to_be_someone_else_gets_no_answer() {
    let mut house = House::walk_through();
    let other_address = build::arp_request(pod_mac(NGINX), CLIENT, GATEWAY_IP);
    let other_mac = build::arp_request(pod_mac(CLIENT), NGINX, GATEWAY_IP);
    // The link header tells one story, the ARP packet another.
    let mut two_stories = build::arp_request(pod_mac(NGINX), NGINX, GATEWAY_IP);
    two_stories[6..12].copy_from_slice(&pod_mac(CLIENT).0);
    // Somebody else's gratuitous announcement.
    let gratuitous = build::arp_request(pod_mac(NGINX), CLIENT, CLIENT);
    for frame in [other_address, other_mac, two_stories, gratuitous] {
        house
            .pod_sends_ethernet(NGINX, &frame)
            .died_of(M02, DropReason::ArpSpoofed);
    }
}

#[test]
fn replies_teach_the_switch_nothing() {
    let mut house = House::walk_through();
    let gratuitous = build::arp_reply((pod_mac(NGINX), NGINX), (MacAddr::BROADCAST, NGINX));
    let claim = build::arp_reply((pod_mac(NGINX), CLIENT), (GATEWAY_MAC, GATEWAY_IP));
    for frame in [gratuitous, claim] {
        house
            .pod_sends_ethernet(NGINX, &frame)
            .died_of(M02, DropReason::ArpReply);
    }
    let ping = build::icmp_echo(NGINX, CLIENT, 1, 1, b"still there");
    house.pod_sends(NGINX, &ping).only_at_pod(CLIENT);
}

#[test]
fn arp_that_is_not_ethernet_and_ipv4_is_malformed() {
    let mut house = House::walk_through();
    let whole = build::arp_request(pod_mac(NGINX), NGINX, GATEWAY_IP);
    for at in [14, 16, 18, 19, 20] {
        let mut frame = whole.clone();
        frame[at] ^= 0x40;
        house
            .pod_sends_ethernet(NGINX, &frame)
            .died_of(M02, DropReason::ArpMalformed);
    }
    for len in 14..whole.len() {
        let outcome = house.pod_sends_ethernet(NGINX, &whole[..len]);
        outcome.died_of(M02, DropReason::ArpMalformed);
    }
}

#[test]
fn ethernet_padding_behind_a_request_is_fine() {
    let mut house = House::walk_through();
    let mut request = build::arp_request(pod_mac(NGINX), NGINX, GATEWAY_IP);
    request.resize(60, 0);
    assert_eq!(house.pod_sends_ethernet(NGINX, &request).delivered.len(), 1);
}
