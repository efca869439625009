//! What a relay promises of packets in IPIP: from another node to a pod.
//!
//! Loading its programs needs the machine's own root, see `relay.rs`.
#![forbid(unsafe_code)]

mod common;

use std::slice::from_ref;

use common::relay::{House, after, housed, marked, on_wire, tcp};
use common::{frames, namespace, receive, send_all};
use packet::segment::{MAX_HEADERS, Segments};
use packet::{Frame, MacAddr, Protocol, build, ethernet, ipip, ipv4};
use port::Link;

fn tcp_super_segment() -> Frame {
    let frame = build::super_segment(&frames::tcp_packet(60_000), 1440);
    frames::on(Link::Ethernet, frame)
}

fn udp_super_segment() -> Frame {
    let frame = build::super_segment(frames::udp(5000, 10_000).packet(), 1200);
    frames::on(Link::Ethernet, frame)
}

/// The segment with its DSCP and ECN, in an outer header with others.
fn with_tos(inner: u8, outer: u8) -> Frame {
    let mut frame = tcp(1);
    ipv4::set_tos(frame.packet_mut(), inner);
    let mut frame = on_wire(&frame);
    ipv4::set_tos(frame.packet_mut(), outer);
    frame
}

#[test]
fn a_lanes_frame_comes_out_of_its_tunnel_and_takes_its_hop() {
    let name = "a_lanes_frame_comes_out_of_its_tunnel_and_takes_its_hop";
    housed(name, |mut house| {
        let lane = house.tunnel_lane(Protocol::TCP);
        house.relay.prepare(0, &lane).unwrap();
        let wire = on_wire(&tcp(1));
        assert_eq!(
            house.left_from_wire(from_ref(&wire)),
            [marked(wire.clone(), 0)]
        );
        assert!(house.relay.open(0, 1, common::relay::GENERATION));
        assert_eq!(house.relayed_from_wire(from_ref(&wire)), [after(tcp(1))]);
        let counts = house.counts(0);
        assert_eq!((counts.seen, counts.packets), (2, 1));
        assert_eq!(counts.bytes, wire.bytes().len() as u64);
    });
}

#[test]
fn a_checksum_left_open_stays_open() {
    housed("a_checksum_left_open_stays_open", |mut house| {
        house.open(0, &house.tunnel_lane(Protocol::TCP));
        let partial = build::with_partial_checksum(&frames::tcp_packet(100));
        let bare = frames::on(Link::Ethernet, partial);
        let received = house.relayed_from_wire(&[on_wire(&bare)]);
        assert_eq!(received[0].offload, bare.offload);
        assert_eq!(received, [after(bare)]);
    });
}

#[test]
fn super_segments_come_out_whole() {
    housed("super_segments_come_out_whole", |mut house| {
        house.open(0, &house.tunnel_lane(Protocol::TCP));
        house.open(1, &house.tunnel_lane(Protocol::UDP));
        for bare in [
            tcp_super_segment(),
            udp_super_segment(),
            tcp_super_segment(),
        ] {
            let received = house.relayed_from_wire(&[on_wire(&bare)]);
            assert_eq!(received[0].offload, bare.offload);
            assert_eq!(received, [after(bare)]);
        }
    });
}

/// Where the interface they leave by has no segmentation offload, they are cut there, as user space would.
#[test]
fn super_segments_are_cut_as_user_space_does() {
    housed("super_segments_are_cut_as_user_space_does", |mut house| {
        for feature in [
            "tx-ipxip4-segmentation",
            "tx-tcp-segmentation",
            "tx-udp-segmentation",
            "tx-checksum-ip-generic",
        ] {
            namespace::run(&format!("ethtool -K tofar {feature} off"));
        }
        namespace::run("ethtool -K far gro off");
        house.open(0, &house.tunnel_lane(Protocol::TCP));
        house.open(1, &house.tunnel_lane(Protocol::UDP));
        for bare in [tcp_super_segment(), udp_super_segment()] {
            let expected = cut(&after(bare.clone()));
            send_all(&mut house.wire, &[on_wire(&bare)]);
            let received = receive(&mut house.far, expected.len());
            for (at, (received, expected)) in received.into_iter().zip(expected).enumerate() {
                assert_eq!(received.bytes(), expected, "segment {at}");
            }
        }
    });
}

/// The frames that user space makes of one, checksums finished.
fn cut(frame: &Frame) -> Vec<Vec<u8>> {
    let mut segments = Segments::of(frame).expect("a super-segment");
    let mut headers = [0; MAX_HEADERS];
    let mut pieces = Vec::new();
    while let Some(segment) = segments.next(&mut headers) {
        let bytes = [&headers[..segment.headers_len], segment.payload].concat();
        let mut piece = Frame::from_ethernet(&bytes);
        piece.offload = segment.offload;
        piece.finish_checksum();
        pieces.push(piece.bytes().to_vec());
    }
    pieces
}

/// The whole table: DSCP the same or not, and every pair of ECN fields.
#[test]
fn what_the_tunnel_has_changed_about_a_packet_is_left_to_the_daemon() {
    let name = "what_the_tunnel_has_changed_about_a_packet_is_left_to_the_daemon";
    housed(name, |mut house| {
        let lane = house.tunnel_lane(Protocol::TCP);
        let dscp = [(0xb8, 0xb8), (0xb8, 0)];
        let ecn = (0..16).map(|both| (both >> 2, both & 3));
        let pairs = ecn.flat_map(|(a, b)| dscp.map(|(c, d)| (a | c, b | d)));
        for (index, (inner, outer)) in (0..).zip(pairs) {
            house.open(index, &lane);
            let wire = with_tos(inner, outer);
            let headers = [wire.packet(), &wire.packet()[20..]]
                .map(|packet| ipv4::Header::parse(packet).expect("a header"));
            let unchanged = ipip::marked(&headers[0], &headers[1]) == Some(headers[1]);
            // ECT(1) may say something new; of these few the program does not ask what.
            let relayable = unchanged && (inner == outer || outer & 3 != 1);
            if relayable {
                let mut bare = tcp(1);
                ipv4::set_tos(bare.packet_mut(), inner);
                assert_eq!(house.relayed_from_wire(&[wire]), [after(bare)]);
            } else {
                assert_eq!(house.left_from_wire(from_ref(&wire)), [marked(wire, 0)]);
                let next = on_wire(&tcp(2));
                assert_eq!(house.left_from_wire(from_ref(&next)), [marked(next, 1)]);
            }
            house.relay.remove(&lane).unwrap();
        }
    });
}

/// Changes the outer header.
fn outer(edit: impl FnOnce(&mut ipv4::Header)) -> Frame {
    let packet = build::with_header(on_wire(&tcp(1)).packet(), edit);
    frames::on(Link::Ethernet, Frame::from_packet(&packet))
}

#[test]
fn what_does_not_come_by_the_lanes_tunnel_passes_untouched() {
    let name = "what_does_not_come_by_the_lanes_tunnel_passes_untouched";
    housed(name, |mut house| {
        house.open(0, &house.tunnel_lane(Protocol::TCP));
        let options = build::with_options(on_wire(&tcp(1)).packet(), &[1, 1, 1, 1]);
        let padded = [on_wire(&tcp(1)).packet(), &[0; 4]].concat();
        let mut wrong = on_wire(&tcp(1));
        wrong.packet_mut()[11] ^= 0xff;
        let mut wrong_inside = on_wire(&tcp(1));
        wrong_inside.packet_mut()[31] ^= 0xff;
        let strangers = [
            outer(|header| header.src = frames::POD),
            outer(|header| header.dst = frames::POD),
            outer(|header| header.protocol = Protocol(47)),
            outer(|header| header.more_fragments = true),
            outer(|header| header.fragment_offset_bytes = 8),
            frames::on(Link::Ethernet, Frame::from_packet(&options)),
            frames::on(Link::Ethernet, Frame::from_packet(&padded)),
            wrong,
            wrong_inside,
            tcp(1),
            not_to_us(),
        ];
        for stranger in &strangers {
            passes_untouched(&mut house, stranger);
        }
        assert_eq!(house.counts(0).seen, strangers.len() as u64);
    });
}

/// To another's MAC: the uplink hears it when it is promiscuous.
fn not_to_us() -> Frame {
    let mut frame = on_wire(&tcp(1));
    let header = ethernet::Header {
        dst: MacAddr([2, 0, 0, 0, 0, 3]),
        src: MacAddr([2, 0, 0, 0, 0, 1]),
        ethertype: packet::EtherType::IPV4,
    };
    frame.set_link(&header.emit());
    frame
}

fn passes_untouched(house: &mut House, stranger: &Frame) {
    let sent = from_ref(stranger);
    assert_eq!(house.left_from_wire(sent), sent);
    let relayed = house.relayed_from_wire(&[on_wire(&tcp(2))]);
    assert_eq!(relayed, [after(tcp(2))]);
}

/// On the uplink a tag is the socket's filter's business.
#[test]
fn a_tagged_frame_passes() {
    housed("a_tagged_frame_passes", |mut house| {
        house.open(0, &house.tunnel_lane(Protocol::TCP));
        let header = ethernet::Header {
            dst: MacAddr([2, 0, 0, 0, 0, 2]),
            src: MacAddr([2, 0, 0, 0, 0, 1]),
            ethertype: packet::EtherType(0x8100),
        };
        let wire = on_wire(&tcp(1));
        let tagged = [&header.emit()[..], &[0, 5, 8, 0], wire.packet()].concat();
        send_all(&mut house.wire, &[Frame::from_ethernet(&tagged)]);
        assert_eq!(receive(&mut house.uplink, 1), [wire]);
        assert_eq!(house.counts(0).seen, 0);
    });
}
