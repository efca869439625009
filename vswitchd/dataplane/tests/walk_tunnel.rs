//! Between nodes: one hop each, the outer header, and who is believed.

use std::net::Ipv4Addr;

use dataplane::{DropReason, Punt};
use packet::icmpv4::{self, Message};
use packet::transport::TcpFlags;
use packet::{Protocol, build, ipip, ipv4};

use crate::house::*;

fn ping() -> Vec<u8> {
    build::icmp_echo(NGINX_MANUAL, NGINX, 7, 1, b"0123456789")
}

fn pong() -> Vec<u8> {
    build::icmp_echo_reply(NGINX, NGINX_MANUAL, 7, 1, b"0123456789")
}

#[test]
fn a_ping_between_nodes_arrives_with_ttl_62_and_so_does_its_reply() {
    let mut house = House::walk_through();
    let request = house.pod_sends(NGINX_MANUAL, &ping()).only_at_pod(NGINX);
    assert_eq!(request, build::with_header(&ping(), |ip| ip.ttl = 62));
    let reply = house.pod_sends(NGINX, &pong()).only_at_pod(NGINX_MANUAL);
    assert_eq!(reply, build::with_header(&pong(), |ip| ip.ttl = 62));
}

#[test]
fn a_ping_on_one_node_takes_one_hop_and_never_sees_the_underlay() {
    let mut house = House::walk_through();
    let ping = build::icmp_echo(NGINX, CLIENT, 7, 1, b"");
    let request = house.pod_sends(NGINX, &ping).only_at_pod(CLIENT);
    assert_eq!(header(&request).ttl, 63);
    assert!(house.underlay.log.is_empty());
}

#[test]
fn the_outer_header_is_that_of_rfc_2003() {
    let mut house = House::walk_through();
    house.pod_sends(NGINX_MANUAL, &ping()).only_at_pod(NGINX);
    let [wire] = &house.underlay.log[..] else {
        panic!("one packet")
    };
    let outer = header(wire);
    assert_eq!(outer.src, Ipv4Addr::new(172, 16, 30, 8));
    assert_eq!(outer.dst, Ipv4Addr::new(172, 16, 30, 7));
    assert_eq!(
        (outer.protocol, outer.ttl, outer.header_len),
        (Protocol::IPIP, 64, 20)
    );
    assert!(outer.dont_fragment && !outer.is_fragment());
    assert_eq!(
        outer.payload(wire),
        build::with_header(&ping(), |ip| ip.ttl = 63)
    );
}

#[test]
fn identifications_of_one_worker_count_up() {
    let mut house = House::build(&walk_through(), 1);
    for _ in 0..3 {
        house.pod_sends(NGINX_MANUAL, &ping());
    }
    let ids: Vec<u16> = house
        .underlay
        .log
        .iter()
        .map(|wire| header(wire).identification)
        .collect();
    assert_eq!(
        ids,
        [ids[0], ids[0].wrapping_add(1), ids[0].wrapping_add(2)]
    );
}

#[test]
fn dscp_and_ecn_are_copied_into_the_outer_header() {
    let mut house = House::walk_through();
    for tos in [0x00, 0x01, 0x02, 0x03, 0xb8, 0xba, 0xff] {
        house.underlay.log.clear();
        house.pod_sends(
            NGINX_MANUAL,
            &build::with_header(&ping(), |ip| ip.tos = tos),
        );
        assert_eq!(header(&house.underlay.log[0]).tos, tos);
    }
}

/// RFC 6040 figure 4: rows are the inner field, columns the outer one.
#[test]
fn ecn_leaves_the_tunnel_as_rfc_6040_says() {
    const NOT_ECT: u8 = 0b00;
    const ECT_1: u8 = 0b01;
    const ECT_0: u8 = 0b10;
    const CE: u8 = 0b11;
    let outers = [NOT_ECT, ECT_0, ECT_1, CE];
    let table = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];
    let [m02, m03] = [M02, M03].map(|node| walk_through()[node].address);
    for (inner, leaves) in table {
        for (outer, expected) in outers.into_iter().zip(leaves) {
            let mut house = House::walk_through();
            let packet = build::with_header(&ping(), |ip| ip.tos = inner);
            let wire =
                build::with_header(&build::ipip(m03, m02, &packet), |ip| ip.tos = 0xb8 | outer);
            let outcome = house.on_uplink(M02, &wire);
            match expected {
                Some(ecn) => assert_eq!(header(&outcome.only_at_pod(NGINX)).tos, 0xb8 | ecn),
                None => outcome.died_of(M02, DropReason::DecapEcn),
            }
        }
    }
}

fn probe(ttl: u8) -> Vec<u8> {
    let port = 33_433 + u16::from(ttl);
    let probe = build::udp(BUSYBOX, NGINX, 40_000, port, &[0x40; 32]);
    build::with_header(&probe, |ip| ip.ttl = ttl)
}

#[test]
fn traceroute_in_cluster_2_shows_its_three_hops() {
    let mut house = House::cluster_2();
    let mut hops = Vec::new();
    for ttl in 1..=2 {
        let error = house
            .pod_sends(BUSYBOX, &probe(ttl))
            .answer_at(Place::Pod(BUSYBOX));
        let icmp = icmpv4::Header::parse(payload(&error)).unwrap();
        assert_eq!((icmp.kind, icmp.code), (icmpv4::TIME_EXCEEDED, 0));
        assert!(icmpv4::verify_checksum(payload(&error)));
        let quoted = icmp.quoted(payload(&error)).unwrap();
        assert_eq!(
            quoted[20..],
            probe(ttl)[20..],
            "the whole of the probe is quoted"
        );
        hops.push(header(&error).src);
    }
    let arrived = house.pod_sends(BUSYBOX, &probe(3)).only_at_pod(NGINX);
    let closed = build::icmp_error(NGINX, Message::PortUnreachable, &arrived);
    let answer = house.pod_sends(NGINX, &closed).only_at_pod(BUSYBOX);
    hops.push(header(&answer).src);
    assert_eq!(
        hops,
        [
            Ipv4Addr::new(10, 244, 120, 64),
            Ipv4Addr::new(10, 244, 205, 192),
            NGINX
        ]
    );
    assert_eq!(header(&answer).ttl, 62);
}

#[test]
fn a_peer_is_believed_about_its_own_block_only() {
    let mut house = House::walk_through();
    let claims = [
        CLIENT,                       // a pod of the receiving node
        BUSYBOX,                      // a pod of a third node
        walk_through()[M02].address,  // the receiving node's host: not policed
        walk_through()[M02].block,    // its tunnel address
        OUTSIDE,                      // anyone
        Ipv4Addr::new(10, 244, 9, 9), // the pool, but no block
    ];
    for claim in claims {
        let packet = build::udp(claim, NGINX, 1, 2, b"x");
        house
            .tunneled(M03, M02, &packet)
            .died_of(M02, DropReason::DecapSource);
    }
    let tunnel_address = walk_through()[M03].block;
    let packet = build::udp(tunnel_address, NGINX, 1, 2, b"x");
    house.tunneled(M03, M02, &packet).only_at_pod(NGINX);
}

#[test]
fn a_truncated_inner_packet_is_malformed_at_every_length() {
    let mut house = House::walk_through();
    for len in 0..ping().len() {
        house
            .tunneled(M03, M02, &ping()[..len])
            .died_of(M02, DropReason::DecapMalformed);
    }
}

#[test]
fn frames_for_another_nodes_mac_are_ignored() {
    let mut house = House::walk_through();
    let [m02, m03] = [M02, M03].map(|node| walk_through()[node].address);
    let wire = build::ethernet(
        node_mac(m03),
        node_mac(ROUTER),
        &build::ipip(m03, m02, &ping()),
    );
    let frame = packet::Frame::from_ethernet(&wire);
    house
        .put(M02, UPLINK_PORT, frame)
        .died_of(M02, DropReason::OtherMac);
}

#[test]
fn an_outer_packet_that_the_underlay_cut_is_put_together() {
    let [m02, m03] = [M02, M03].map(|node| walk_through()[node].address);
    let big = build::icmp_echo(NGINX_MANUAL, NGINX, 7, 1, &[0x5a; 1400]);
    let wire = build::with_header(&build::ipip(m03, m02, &big), |ip| {
        ip.dont_fragment = false;
        ip.identification = 77;
    });
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut house = House::walk_through();
        let pieces = cut(&wire, 600);
        assert_eq!(pieces.len(), 3);
        for piece in &order[..2] {
            let outcome = house.on_uplink(M02, &pieces[*piece]);
            assert_eq!((outcome.absorbed, outcome.delivered.len()), (1, 0));
        }
        let whole = house.on_uplink(M02, &pieces[order[2]]).only_at_pod(NGINX);
        assert_eq!(whole, build::with_header(&big, |ip| ip.ttl = 63));
    }
}

#[test]
fn cut_outer_packets_are_put_together_however_many_came_before() {
    let mut house = House::walk_through();
    let [m02, m03] = [M02, M03].map(|node| walk_through()[node].address);
    let big = build::icmp_echo(NGINX_MANUAL, NGINX, 7, 1, &[0x5a; 1400]);
    for identification in 0..1000 {
        let wire = build::with_header(&build::ipip(m03, m02, &big), |ip| {
            ip.dont_fragment = false;
            ip.identification = identification;
        });
        let pieces = cut(&wire, 600);
        house.on_uplink(M02, &pieces[0]);
        house.on_uplink(M02, &pieces[1]);
        house.on_uplink(M02, &pieces[2]).only_at_pod(NGINX);
    }
}

#[test]
fn congestion_reported_on_one_outer_fragment_reaches_the_inner_packet() {
    let mut house = House::walk_through();
    let [m02, m03] = [M02, M03].map(|node| walk_through()[node].address);
    let big = build::with_header(
        &build::icmp_echo(NGINX_MANUAL, NGINX, 7, 1, &[0x5a; 1000]),
        |ip| {
            ip.tos = 0b10;
        },
    );
    let wire = build::with_header(&build::ipip(m03, m02, &big), |ip| ip.dont_fragment = false);
    let pieces = cut(&wire, 600);
    house.on_uplink(M02, &build::with_header(&pieces[0], |ip| ip.tos = 0b11));
    let whole = house.on_uplink(M02, &pieces[1]).only_at_pod(NGINX);
    assert_eq!(header(&whole).tos, 0b11, "RFC 3168 section 5.3");
}

#[test]
fn an_unresolved_next_hop_is_carried_by_the_kernel_and_nothing_is_lost() {
    let mut house = House::walk_through();
    house.edit(M03, |description| {
        description
            .peers
            .iter_mut()
            .for_each(|peer| peer.next_hop_mac = None);
    });
    let outcome = house.pod_sends(NGINX_MANUAL, &ping());
    assert_eq!(outcome.by_kernel, 1);
    assert_eq!(header(&outcome.only_at_pod(NGINX)).ttl, 62);
    assert_eq!(house.underlay.log[0].len(), ping().len() + ipip::OVERHEAD);
}

#[test]
fn a_plain_block_travels_as_it_is() {
    let mut house = House::walk_through();
    for node in [M02, M03] {
        house.edit(node, |description| {
            for peer in &mut description.peers {
                peer.plain_blocks = std::mem::take(&mut peer.tunneled_blocks);
            }
        });
    }
    let request = house.pod_sends(NGINX_MANUAL, &ping()).only_at_pod(NGINX);
    assert_eq!(header(&request).ttl, 62);
    assert_eq!(header(&house.underlay.log[0]).protocol, Protocol::ICMP);
    let foreign = build::udp(OUTSIDE, NGINX, 1, 2, b"x");
    house
        .on_uplink(M02, &foreign)
        .died_of(M02, DropReason::UplinkNotTunnel);
}

/// The kernel takes from eth0 what is addressed to it; a second copy would
/// reach it through `tunl0`.
#[test]
fn a_plain_packet_for_the_host_is_left_to_the_host() {
    let mut house = House::walk_through();
    house.edit(M02, |description| {
        for peer in &mut description.peers {
            peer.plain_blocks = std::mem::take(&mut peer.tunneled_blocks);
        }
    });
    for host in [walk_through()[M02].address, walk_through()[M02].block] {
        let packet = build::udp(NGINX_MANUAL, host, 1, 2, b"x");
        house
            .on_uplink(M02, &packet)
            .died_of(M02, DropReason::UplinkNotTunnel);
    }
}

#[test]
fn every_transport_crosses_unchanged() {
    let mut house = House::walk_through();
    let transports = [
        build::tcp(NGINX_MANUAL, NGINX, 4000, 80, TcpFlags::SYN, 1, b""),
        build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"question"),
        build::sctp(NGINX_MANUAL, NGINX, 9003, 9003, 0, (1, b"initinitinitinit")),
        build::ipv4(NGINX_MANUAL, NGINX, Protocol(47), b"GRE, say"),
        build::with_options(
            &build::udp(NGINX_MANUAL, NGINX, 4001, 53, b"router alert"),
            &[148, 4, 0, 0],
        ),
    ];
    for packet in transports {
        let arrived = house.pod_sends(NGINX_MANUAL, &packet).only_at_pod(NGINX);
        let mut expected = packet.clone();
        ipv4::decrement_ttl(&mut expected);
        ipv4::decrement_ttl(&mut expected);
        assert_eq!(arrived, expected);
    }
}

#[test]
fn absorbed_is_the_name_of_what_waits() {
    let mut house = House::walk_through();
    let [m02, m03] = [M02, M03].map(|node| walk_through()[node].address);
    let wire = build::with_header(&build::ipip(m03, m02, &ping()), |ip| {
        ip.dont_fragment = false;
    });
    let piece = build::ethernet(node_mac(m03), node_mac(m02), &cut(&wire, 44)[0]);
    let mut frame = packet::Frame::from_ethernet(&piece);
    let (_, action) = house.nodes[M02].walk(house.now, UPLINK_PORT, &mut frame);
    assert_eq!(action, dataplane::Action::Punt(Punt::Absorbed));
}
