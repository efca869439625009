//! When no ICMP error is sent (RFC 1122 section 3.2.2), and how many are.

use std::time::Duration;

use dataplane::DropReason;
use packet::icmpv4::{self, Message};
use packet::transport::TcpFlags;
use packet::{MacAddr, build, ipv4};

use crate::house::*;

fn dying(packet: &[u8]) -> Vec<u8> {
    build::with_header(packet, |ip| ip.ttl = 1)
}

#[test]
fn no_error_is_sent_about_an_error() {
    let mut house = House::walk_through();
    let question = build::udp(NGINX, NGINX_MANUAL, 1, 2, b"x");
    let arrived = house.pod_sends(NGINX, &question).only_at_pod(NGINX_MANUAL);
    let messages = [
        Message::PortUnreachable,
        Message::TimeExceeded,
        Message::FragmentationNeeded { next_hop_mtu: 1000 },
    ];
    for message in messages {
        let error = dying(&build::icmp_error(NGINX_MANUAL, message, &arrived));
        house
            .pod_sends(NGINX_MANUAL, &error)
            .died_of(M03, DropReason::TtlExceeded);
    }
    let echo = dying(&build::icmp_echo(NGINX, NGINX_MANUAL, 1, 1, b""));
    let outcome = house.pod_sends(NGINX, &echo);
    assert_eq!(outcome.delivered.len(), 1, "an echo request is no error");
}

#[test]
fn no_error_is_sent_about_a_later_fragment() {
    let mut house = House::walk_through();
    let packet = build::with_header(&build::udp(NGINX, NGINX_MANUAL, 1, 2, &[0; 2000]), |ip| {
        ip.dont_fragment = false;
        ip.identification = 5;
        ip.ttl = 1;
    });
    let pieces = cut(&packet, 1480);
    let first = house.pod_sends(NGINX, &pieces[0]);
    assert_eq!((first.delivered.len(), first.dropped.len()), (1, 1));
    house
        .pod_sends(NGINX, &pieces[1])
        .died_of(M02, DropReason::TtlExceeded);
}

#[test]
fn no_error_is_sent_about_multicast_or_broadcast() {
    let mut house = House::walk_through();
    let targets = [
        ([224, 0, 0, 251], DropReason::Multicast),
        ([255; 4], DropReason::Broadcast),
    ];
    for (target, reason) in targets {
        let packet = dying(&build::udp(NGINX, target.into(), 1, 2, b"x"));
        house.pod_sends(NGINX, &packet).died_of(M02, reason);
    }
    // A unicast packet in a broadcast frame.
    let packet = dying(&build::udp(NGINX, NGINX_MANUAL, 1, 2, b"x"));
    let frame = build::ethernet(pod_mac(NGINX), MacAddr::BROADCAST, &packet);
    house
        .pod_sends_ethernet(NGINX, &frame)
        .died_of(M02, DropReason::OtherMac);
}

#[test]
fn no_error_is_sent_to_an_address_that_is_no_single_host() {
    let mut house = House::walk_through();
    for source in [
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [255; 4],
        [240, 0, 0, 1],
    ] {
        let packet = dying(&build::udp(source.into(), NGINX, 1, 2, b"x"));
        house
            .host_sends(M02, &packet)
            .died_of(M02, DropReason::Martian);
    }
}

#[test]
fn policy_is_silent() {
    let mut house = House::walk_through();
    house.policy(&deny_all("Ingress"));
    let packet = build::tcp(NGINX, CLIENT, 1, 2, TcpFlags::SYN, 0, b"");
    house
        .pod_sends(NGINX, &packet)
        .died_of(M02, DropReason::PolicyIngress);
}

#[test]
fn errors_are_rate_limited_a_port() {
    let mut house = House::build(&walk_through(), 1);
    let mut told = |pod| {
        let probe = dying(&build::udp(pod, NGINX_MANUAL, 1, 2, b"x"));
        (0..500)
            .filter(|_| !house.pod_sends(pod, &probe).delivered.is_empty())
            .count()
    };
    assert_eq!(told(NGINX), 100, "the burst");
    assert_eq!(told(NGINX), 0);
    assert_eq!(told(CLIENT), 100, "another port has its own");
    house.sleep(Duration::from_millis(100));
    let probe = dying(&build::udp(NGINX, NGINX_MANUAL, 1, 2, b"x"));
    let later = (0..50)
        .filter(|_| !house.pod_sends(NGINX, &probe).delivered.is_empty())
        .count();
    assert_eq!(later, 10, "100 a second");
    let counters = house.nodes[M02].count(|counters| &counters.icmp_sent);
    assert_eq!(counters, 210);
    let limited = house.nodes[M02].count(|counters| &counters.icmp_limited);
    assert_eq!(
        limited + counters,
        house.nodes[M02].dropped(DropReason::TtlExceeded)
    );
}

#[test]
fn an_error_is_well_formed_and_quotes_the_packet_that_died() {
    let mut house = House::walk_through();
    let probe = build::with_options(
        &build::udp(NGINX, NGINX_MANUAL, 1, 2, &[9; 700]),
        &[148, 4, 0, 0],
    );
    let error = house
        .pod_sends(NGINX, &dying(&probe))
        .answer_at(Place::Pod(NGINX));
    let ip = header(&error);
    assert_eq!(
        (ip.ttl, ip.tos, ip.total_len),
        (64, 0xc0, icmpv4::MAX_ERROR_LEN)
    );
    assert!(icmpv4::verify_checksum(payload(&error)));
    let quoted = &payload(&error)[icmpv4::HEADER_LEN..];
    assert_eq!(quoted, &dying(&probe)[..quoted.len()]);
    assert!(ipv4::Header::parse_quoted(quoted).unwrap().has_options());
}

#[test]
fn a_dying_super_segment_is_answered_once() {
    let mut house = House::walk_through();
    let bulk = build::tcp(NGINX, NGINX_MANUAL, 1, 80, TcpFlags::ACK, 0, &[0; 20_000]);
    let frame = build::super_segment(&dying(&bulk), 1000);
    let error = house
        .pod_sends_offloaded(NGINX, frame)
        .answer_at(Place::Pod(NGINX));
    assert_eq!(header(&error).total_len, icmpv4::MAX_ERROR_LEN);
}
