//! What a relay leaves to the daemon: frames that are unusual close their lane, and frames that only look like a lane's
//! are none of it.
//!
//! Loading its programs needs the machine's own root, see `relay.rs`.
#![forbid(unsafe_code)]

mod common;

use std::slice::from_ref;

use common::frames::{self, OTHER_POD, POD};
use common::relay::{House, MTU, after, housed, marked, tcp};
use packet::transport::TcpFlags;
use packet::{Frame, MacAddr, Protocol, build, ethernet};
use port::Link;

fn on_link(packet: &[u8]) -> Frame {
    frames::on(Link::Ethernet, Frame::from_packet(packet))
}

fn flagged(flags: TcpFlags) -> Frame {
    on_link(&build::tcp(POD, OTHER_POD, 40_000, 80, flags, 1, b"data"))
}

/// A segment with one of its bytes changed.
fn with_byte(frame: Frame, at: usize, value: u8) -> Frame {
    let mut frame = frame;
    frame.packet_mut()[at] = value;
    frame
}

fn super_segment(packet: &[u8], size: u16) -> Frame {
    frames::on(Link::Ethernet, build::super_segment(packet, size))
}

/// Sends a frame on an open lane: it closes it.
fn closes(house: &mut House, index: u16, what: &str, frame: &Frame) {
    let protocol = Protocol(frame.packet()[9]);
    let lane = house.lane(protocol);
    house.open(index, &lane);
    let usual = match protocol {
        Protocol::TCP => tcp(1),
        _ => frames::on(Link::Ethernet, frames::udp(5000, 100)),
    };
    assert_eq!(house.relayed(from_ref(&usual)), [after(usual.clone())]);
    let sent = [frame.clone(), usual.clone()];
    let left = [marked(frame.clone(), 1), marked(usual, 2)];
    assert_eq!(house.left(&sent), left, "{what}");
    let counts = house.counts(index);
    assert_eq!((counts.seen, counts.packets), (3, 1), "{what}");
    house.relay.remove(&lane).unwrap();
}

#[test]
fn a_segment_that_is_not_in_the_midst_of_a_connection_closes_its_lane() {
    let name = "a_segment_that_is_not_in_the_midst_of_a_connection_closes_its_lane";
    housed(name, |mut house| {
        let ack = TcpFlags::ACK;
        let flags = [
            ("FIN", TcpFlags::FIN | ack),
            ("SYN", TcpFlags::SYN | ack),
            ("RST", TcpFlags::RST | ack),
            ("no ACK", TcpFlags::PSH),
        ];
        for (index, (what, flags)) in (0..).zip(flags) {
            closes(&mut house, index, what, &flagged(flags));
        }
    });
}

#[test]
fn a_packet_that_is_not_whole_closes_its_lane() {
    housed("a_packet_that_is_not_whole_closes_its_lane", |mut house| {
        let segment = frames::tcp_packet(100);
        let first = build::with_header(&segment, |header| {
            header.more_fragments = true;
            header.dont_fragment = false;
        });
        let datagram = on_link(frames::udp(5000, 100).packet());
        // Data offset: 16 bytes are too few, 60 more than there are.
        let no_data = flagged(TcpFlags::ACK);
        let cases = [
            ("first fragment", on_link(&first)),
            ("padding", on_link(&[&segment[..], &[0; 4]].concat())),
            ("short TCP header", with_byte(tcp(1), 32, 0x40)),
            ("long TCP header", with_byte(no_data, 32, 0xf0)),
            ("UDP length", with_byte(datagram, 25, 107)),
        ];
        for (index, (what, frame)) in (0..).zip(cases) {
            closes(&mut house, index, what, &frame);
        }
        let eight = build::ipv4(POD, OTHER_POD, Protocol(99), &segment[20..28]);
        let cut = build::with_header(&eight, |header| header.protocol = Protocol::TCP);
        closes(&mut house, 9, "TCP of eight bytes", &on_link(&cut));
    });
}

#[test]
fn a_packet_that_the_daemon_answers_closes_its_lane() {
    let name = "a_packet_that_the_daemon_answers_closes_its_lane";
    housed(name, |mut house| {
        let last_hop = build::with_header(&frames::tcp_packet(9), |header| header.ttl = 1);
        let data = usize::from(MTU) - 40;
        let datagrams = frames::udp(5000, 10_000);
        let cases = [
            ("TTL", on_link(&last_hop)),
            ("long segment", on_link(&frames::tcp_packet(data + 1))),
            (
                "long segments",
                super_segment(&frames::tcp_packet(20_000), data as u16 + 1),
            ),
            (
                "long datagrams",
                super_segment(datagrams.packet(), data as u16 + 13),
            ),
        ];
        for (index, (what, frame)) in (0..).zip(cases) {
            closes(&mut house, index, what, &frame);
        }
        // What just fits, passes.
        house.open(10, &house.lane(Protocol::TCP));
        house.open(11, &house.lane(Protocol::UDP));
        for frame in [
            on_link(&frames::tcp_packet(data)),
            super_segment(&frames::tcp_packet(20_000), data as u16),
            super_segment(datagrams.packet(), data as u16 + 12),
            on_link(&build::with_header(&frames::tcp_packet(9), |header| {
                header.ttl = 2;
            })),
            on_link(&build::udp(POD, OTHER_POD, 4000, 5000, &[])),
        ] {
            assert_eq!(house.relayed(from_ref(&frame)), [after(frame)]);
        }
    });
}

#[test]
fn what_only_looks_like_a_lanes_frame_passes_untouched() {
    let name = "what_only_looks_like_a_lanes_frame_passes_untouched";
    housed(name, |mut house| {
        house.open(0, &house.lane(Protocol::TCP));
        let segment = frames::tcp_packet(100);
        let macs = |dst: u8, src: u8| {
            let header = ethernet::Header {
                dst: MacAddr([2, 0, 0, 0, 0, dst]),
                src: MacAddr([2, 0, 0, 0, 0, src]),
                ethertype: packet::EtherType::IPV4,
            };
            let mut frame = tcp(1);
            frame.set_link(&header.emit());
            frame
        };
        let later = build::with_header(&segment, |header| {
            header.dont_fragment = false;
            header.fragment_offset_bytes = 8;
        });
        let spoofed = build::with_header(&segment, |header| header.src = OTHER_POD);
        let elsewhere = build::with_header(&segment, |header| header.dst = POD);
        let strangers = [
            macs(3, 1),
            macs(2, 3),
            on_link(&later),
            on_link(&spoofed),
            on_link(&elsewhere),
            on_link(&build::with_options(&segment, &[1, 1, 1, 1])),
            // A wrong checksum, another version, ports and protocol.
            with_byte(tcp(1), 11, !tcp(1).packet()[11]),
            with_byte(tcp(1), 0, 0x65),
            on_link(&build::tcp(
                POD,
                OTHER_POD,
                40_001,
                80,
                TcpFlags::ACK,
                1,
                b"",
            )),
            on_link(&build::tcp(
                POD,
                OTHER_POD,
                40_000,
                81,
                TcpFlags::ACK,
                1,
                b"",
            )),
            on_link(&build::udp(POD, OTHER_POD, 40_000, 80, b"datagram")),
            on_link(&build::icmp_echo(POD, OTHER_POD, 1, 1, b"echo")),
            on_link(&build::ipip(POD, OTHER_POD, &segment)),
        ];
        for stranger in &strangers {
            let sent = from_ref(stranger);
            assert_eq!(house.left(sent), sent);
            assert_eq!(house.relayed(&[tcp(1)]), [after(tcp(1))]);
        }
        assert_eq!(house.counts(0).seen, strangers.len() as u64);
    });
}
