//! Size: who is told, what is cut, and what the underlay reports.

use std::net::Ipv4Addr;

use dataplane::{DropReason, Event, PeerId};
use packet::icmpv4::{self, Message};
use packet::transport::TcpFlags;
use packet::{build, ipv4};

use crate::house::*;

fn node(index: usize) -> Ipv4Addr {
    walk_through()[index].address
}

/// A UDP packet of `len` bytes, IP header included.
fn sized(len: usize, dont_fragment: bool) -> Vec<u8> {
    let payload: Vec<u8> = (0..len - 28).map(|byte| byte as u8).collect();
    let packet = build::udp(NGINX, NGINX_MANUAL, 4000, 53, &payload);
    build::with_header(&packet, |ip| {
        ip.dont_fragment = dont_fragment;
        ip.identification = 4242;
    })
}

/// The MTU that an ICMP fragmentation-needed tells, and the packet it quotes.
#[track_caller]
fn told(error: &[u8]) -> (u16, Vec<u8>) {
    let icmp = icmpv4::Header::parse(payload(error)).unwrap();
    assert!(icmpv4::verify_checksum(payload(error)));
    let mtu = icmp.next_hop_mtu().expect("a fragmentation-needed");
    (mtu, icmp.quoted(payload(error)).unwrap().to_vec())
}

#[test]
fn the_largest_packet_fills_the_uplink_exactly() {
    let mut house = House::walk_through();
    house
        .pod_sends(NGINX, &sized(1480, true))
        .only_at_pod(NGINX_MANUAL);
    assert_eq!(house.underlay.log[0].len(), 1500);
}

#[test]
fn too_big_with_df_is_told_the_next_hop_mtu_and_what_it_was_about() {
    let mut house = House::walk_through();
    let packet = sized(1481, true);
    let outcome = house.pod_sends(NGINX, &packet);
    assert_eq!(outcome.dropped, [(M02, DropReason::FragmentationNeeded)]);
    let error = outcome.answer_at(Place::Pod(NGINX));
    assert_eq!(
        (header(&error).src, header(&error).dst),
        (walk_through()[M02].block, NGINX)
    );
    assert_eq!(header(&error).total_len, 576, "RFC 1812 section 4.3.2.3");
    let (mtu, quoted) = told(&error);
    assert_eq!(mtu, 1480);
    let quoted_header = ipv4::Header::parse_quoted(&quoted).unwrap();
    assert_eq!(
        (quoted_header.src, quoted_header.dst),
        (NGINX, NGINX_MANUAL)
    );
    assert_eq!(
        (quoted_header.identification, quoted_header.total_len),
        (4242, 1481)
    );
    assert_eq!(quoted[20..], packet[20..quoted.len()]);
    assert!(house.underlay.log.is_empty());
}

#[test]
fn too_big_without_df_arrives_in_fragments_that_fit_together() {
    let mut house = House::walk_through();
    for len in [1481, 2000, 9000, 65_535] {
        let packet = sized(len, false);
        let outcome = house.pod_sends(NGINX, &packet);
        assert_eq!((outcome.cut, &outcome.dropped[..]), (1, &[][..]));
        let pieces = outcome.at(Place::Pod(NGINX_MANUAL));
        assert_eq!(
            pieces.len(),
            (len - 20).div_ceil(1456),
            "1456 is 1460 rounded down to 8"
        );
        assert_eq!(
            reassemble(&pieces),
            build::with_header(&packet, |ip| ip.ttl = 62)
        );
    }
}

#[test]
fn a_partial_checksum_is_completed_before_cutting() {
    let mut house = House::walk_through();
    let packet = sized(3000, false);
    let outcome = house.pod_sends_offloaded(NGINX, build::with_partial_checksum(&packet));
    let whole = reassemble(&outcome.at(Place::Pod(NGINX_MANUAL)));
    assert_eq!(whole, build::with_header(&packet, |ip| ip.ttl = 62));
}

#[test]
fn a_fragment_that_is_still_too_big_is_cut_again() {
    let mut house = House::walk_through();
    house.edit(M02, |description| {
        description
            .peers
            .iter_mut()
            .for_each(|peer| peer.path_mtu_bytes = Some(1000));
    });
    let packet = sized(4000, false);
    let mut arrived = Vec::new();
    for piece in cut(&packet, 1480) {
        arrived.extend(house.pod_sends(NGINX, &piece).at(Place::Pod(NGINX_MANUAL)));
    }
    assert!(arrived.iter().all(|piece| piece.len() <= 980));
    assert_eq!(
        reassemble(&arrived),
        build::with_header(&packet, |ip| ip.ttl = 62)
    );
}

fn bulk(len: usize) -> Vec<u8> {
    build::tcp(
        NGINX,
        NGINX_MANUAL,
        4000,
        80,
        TcpFlags::ACK | TcpFlags::PSH,
        1,
        &vec![7; len],
    )
}

#[test]
fn a_super_segment_is_judged_by_its_segments() {
    let mut house = House::walk_through();
    let fits = build::super_segment(&bulk(60_000), 1440);
    let outcome = house.pod_sends_offloaded(NGINX, fits);
    let segments = outcome.at(Place::Pod(NGINX_MANUAL));
    assert_eq!(segments.len(), 60_000_usize.div_ceil(1440));
    assert!(house.underlay.log.iter().all(|wire| wire.len() <= 1500));
    assert_eq!(outcome.dropped, []);

    let too_big = build::super_segment(&bulk(60_000), 1441);
    let outcome = house.pod_sends_offloaded(NGINX, too_big);
    assert_eq!(outcome.dropped, [(M02, DropReason::FragmentationNeeded)]);
    let (mtu, quoted) = told(&outcome.answer_at(Place::Pod(NGINX)));
    assert_eq!(mtu, 1480);
    assert_eq!(
        ipv4::Header::parse_quoted(&quoted).unwrap().total_len,
        60_040
    );
}

#[test]
fn a_super_segment_stays_whole_on_its_own_node() {
    let mut house = House::walk_through();
    let packet = build::tcp(NGINX, CLIENT, 4000, 80, TcpFlags::ACK, 1, &vec![7; 60_000]);
    let outcome = house.pod_sends_offloaded(NGINX, build::super_segment(&packet, 1440));
    assert_eq!(outcome.delivered.len(), 1);
    assert_eq!(outcome.delivered[0].frame.packet_len(), 60_040);
    assert_eq!(outcome.delivered[0].frame.offload.gso.unwrap().size, 1440);
}

#[test]
fn segments_of_a_super_segment_are_numbered_apart() {
    let mut house = House::build(&walk_through(), 1);
    let outcome = house.pod_sends_offloaded(NGINX, build::super_segment(&bulk(5_000), 1000));
    assert_eq!(outcome.dropped, []);
    house.pod_sends(NGINX, &sized(100, true));
    let ids: Vec<u16> = house
        .underlay
        .log
        .iter()
        .map(|wire| header(wire).identification)
        .collect();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
}

#[test]
fn the_underlays_report_lowers_the_path_and_the_pod_is_told() {
    let mut house = House::walk_through();
    house.underlay.path_mtu.insert((node(M02), node(M03)), 1400);
    let outcome = house.pod_sends(NGINX, &sized(1480, true));
    let event = Event::PathMtu {
        peer: PeerId(1),
        address: node(M03),
        mtu_bytes: 1400,
    };
    assert_eq!(outcome.events, [(M02, event)]);
    let error = outcome.only_at_pod(NGINX);
    assert_eq!(
        header(&error).src,
        walk_through()[M02].block,
        "from its own node"
    );
    let (mtu, quoted) = told(&error);
    assert_eq!(mtu, 1380, "what is left of 1400 within an outer header");
    assert_eq!(
        ipv4::Header::parse_quoted(&quoted).unwrap().dst,
        NGINX_MANUAL
    );

    // From now on the switch knows by itself.
    house.hear(&outcome.events);
    let outcome = house.pod_sends(NGINX, &sized(1381, true));
    assert_eq!(outcome.dropped, [(M02, DropReason::FragmentationNeeded)]);
    assert_eq!(told(&outcome.answer_at(Place::Pod(NGINX))).0, 1380);
    house
        .pod_sends(NGINX, &sized(1380, true))
        .only_at_pod(NGINX_MANUAL);
    // The other peer's path is not narrower for that.
    let other = build::udp(NGINX, BUSYBOX, 1, 2, &[0; 1452]);
    house.pod_sends(NGINX, &other).only_at_pod(BUSYBOX);
}

#[test]
fn a_router_that_quotes_little_still_lowers_the_path() {
    let mut house = House::walk_through();
    house.underlay.path_mtu.insert((node(M02), node(M03)), 1400);
    house.underlay.quotes_little = true;
    let outcome = house.pod_sends(NGINX, &sized(1480, true));
    assert_eq!((outcome.events.len(), outcome.delivered.len()), (1, 0));
    house.hear(&outcome.events);
    let error = house
        .pod_sends(NGINX, &sized(1480, true))
        .answer_at(Place::Pod(NGINX));
    assert_eq!(told(&error).0, 1380);
}

#[test]
fn packets_without_df_survive_a_narrow_path_once_it_is_known() {
    let mut house = House::walk_through();
    house.underlay.path_mtu.insert((node(M02), node(M03)), 1400);
    let outcome = house.pod_sends(NGINX, &sized(1480, false));
    house.hear(&outcome.events);
    let packet = sized(1480, false);
    let pieces = house.pod_sends(NGINX, &packet).at(Place::Pod(NGINX_MANUAL));
    assert_eq!(
        reassemble(&pieces),
        build::with_header(&packet, |ip| ip.ttl = 62)
    );
}

#[test]
fn a_host_is_told_about_its_own_packets() {
    let mut house = House::walk_through();
    house.underlay.path_mtu.insert((node(M02), node(M03)), 1400);
    let packet = build::udp(walk_through()[M02].block, NGINX_MANUAL, 1, 2, &[0; 1452]);
    let error = house.host_sends(M02, &packet).only_at_host(M02);
    assert_eq!(told(&error).0, 1380);
}

#[test]
fn a_forged_report_changes_nothing() {
    let mut house = House::walk_through();
    let inner = sized(1480, true);
    let sent = build::ipip(node(M02), node(M03), &inner);
    let report = |mtu, packet: &[u8]| {
        build::icmp_error(
            ROUTER,
            Message::FragmentationNeeded { next_hop_mtu: mtu },
            packet,
        )
    };
    let mut wrong_checksum = report(1400, &sent);
    wrong_checksum[22] ^= 1;
    let forged = [
        report(0, &sent),  // RFC 792 routers say nothing
        report(68, &sent), // absurd
        report(
            1400,
            &build::udp(node(M02), node(M03), 1, 2, b"not a tunnel packet"),
        ),
        report(1400, &build::ipip(node(M02), ROUTER, &inner)), // to no peer
        wrong_checksum,
    ];
    for forged in forged {
        let outcome = house.on_uplink(M02, &forged);
        assert!(outcome.events.is_empty());
        outcome.died_of(M02, DropReason::PathMtuForged);
    }
    // Quoting another node's packet: it was not even sent to us by a router.
    let others = report(1400, &build::ipip(node(MINIKUBE), node(M03), &inner));
    house
        .on_uplink(M02, &others)
        .died_of(M02, DropReason::UplinkNotTunnel);
    house
        .pod_sends(NGINX, &sized(1480, true))
        .only_at_pod(NGINX_MANUAL);
}

/// Whoever may write to the underlay must not make the switch write to others.
#[test]
fn a_report_is_not_passed_on_to_other_nodes() {
    let mut house = House::walk_through();
    for stranger in [NGINX_MANUAL, BUSYBOX] {
        let inner = build::udp(stranger, NGINX_MANUAL, 1, 2, &[0; 1452]);
        let sent = build::ipip(node(M02), node(M03), &inner);
        let message = Message::FragmentationNeeded { next_hop_mtu: 1400 };
        let outcome = house.on_uplink(M02, &build::icmp_error(ROUTER, message, &sent));
        assert_eq!(
            (outcome.walks, outcome.delivered.len()),
            (1, 0),
            "{outcome:?}"
        );
    }
    assert!(house.underlay.log.is_empty());
}
