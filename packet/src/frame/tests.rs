//! Frames: where the bytes stand, what pushes and pulls do to the offload, what goes to the device.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::offload::Gso;
use crate::transport::TcpFlags;
use crate::{MacAddr, build, ipip};

const A: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const B: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const OUTER: ipip::Outer = ipip::Outer {
    src: Ipv4Addr::new(172, 16, 30, 6),
    dst: Ipv4Addr::new(172, 16, 30, 7),
    identification: 9,
};

fn header(frame: &Frame) -> ipv4::Header {
    ipv4::Header::parse(frame.packet()).unwrap()
}

#[test]
fn a_frame_is_cheap_to_move() {
    assert!(size_of::<Frame>() <= 48, "{} bytes", size_of::<Frame>());
}

#[test]
fn the_ip_header_is_aligned_whatever_the_link() {
    for link_len in [0, 14] {
        let mut frame = Frame::new();
        frame.received(link_len, link_len + 20, Offload::default());
        assert_eq!(frame.network % 4, 0);
        assert!(frame.start as usize >= HEADROOM);
        assert!(frame.rx_buffer(link_len).len() >= link_len + MAX_PACKET);
    }
}

#[test]
fn a_frame_shorter_than_its_link_header_has_no_packet() {
    let frame = Frame::from_ethernet(&[1, 2, 3]);
    assert_eq!(
        (frame.link(), frame.packet(), frame.bytes()),
        (&[1, 2, 3][..], &[][..], &[1, 2, 3][..])
    );
}

#[test]
fn the_headroom_holds_an_outer_header_an_icmp_error_and_a_link_header() {
    let mut frame = Frame::from_packet(&build::udp(A, B, 1, 2, b"x"));
    crate::icmpv4::make_error(&mut frame, crate::icmpv4::Message::TimeExceeded, B);
    ipip::encapsulate(&mut frame, OUTER);
    frame.set_link(&[0xee; 14]);
    assert_eq!(frame.link(), [0xee; 14]);
    assert_eq!(header(&frame).protocol, Protocol::IPIP);
}

#[test]
fn a_link_header_is_replaced_and_cleared_without_touching_the_packet() {
    let packet = build::udp(A, B, 1, 2, b"payload");
    let mut frame = Frame::from_ethernet(&build::ethernet(
        MacAddr([2; 6]),
        MacAddr([0xee; 6]),
        &packet,
    ));
    frame.set_link(&[7; 14]);
    assert_eq!(
        (frame.link(), frame.packet()),
        (&[7; 14][..], packet.as_slice())
    );
    assert_eq!(frame.bytes().len(), 14 + packet.len());
    frame.clear_link();
    assert_eq!(frame.bytes(), packet);
}

#[test]
fn truncation_takes_padding_off_and_never_adds() {
    let mut frame = Frame::from_packet(&[1, 2, 3, 4]);
    frame.truncate_packet(9);
    assert_eq!(frame.packet(), [1, 2, 3, 4]);
    frame.truncate_packet(usize::MAX);
    frame.truncate_packet(2);
    assert_eq!(frame.packet(), [1, 2]);
}

#[test]
fn a_push_and_a_pull_move_the_checksum_start_and_back() {
    let mut frame = build::with_partial_checksum(&build::udp(A, B, 1, 2, b"payload"));
    let before = frame.clone();
    frame.push_packet(20).fill(0);
    assert_eq!(
        frame.offload.checksum,
        Checksum::Partial {
            start: 40,
            offset: 6
        }
    );
    frame.pull_packet(20);
    assert_eq!(frame, before);
    frame.pull_packet(21);
    assert_eq!(frame.offload, Offload::default());
    frame.pull_packet(usize::MAX);
    assert_eq!(frame.packet(), b"");
}

#[test]
fn replacing_the_packet_forgets_link_and_offload() {
    let mut frame = build::super_segment(&build::udp(A, B, 1, 2, &[0; 5000]), 1000);
    frame.set_link(&[1; 14]);
    frame.replace_packet(b"new");
    assert_eq!(
        (frame.bytes(), frame.offload),
        (&b"new"[..], Offload::default())
    );
}

#[test]
fn a_copy_is_equal_and_independent() {
    let mut frame = Frame::from_ethernet(&[5; 60]);
    let copy = frame.clone();
    assert_eq!(frame, copy);
    frame.packet_mut()[0] = 6;
    assert_ne!(frame, copy);
}

#[test]
fn the_largest_packet_on_the_wire_is_headers_and_one_segment() {
    let packet = build::tcp(A, B, 1, 2, TcpFlags::ACK, 0, &[0; 50_000]);
    let mut frame = build::super_segment(&packet, 1428);
    assert_eq!(frame.wire_packet_len(), 40 + 1428);
    ipip::encapsulate(&mut frame, OUTER);
    assert_eq!(frame.wire_packet_len(), 60 + 1428);
    frame.offload.gso = None;
    assert_eq!(frame.wire_packet_len(), frame.packet_len());
    let small = build::super_segment(&build::udp(A, B, 1, 2, &[0; 100]), 1400);
    assert_eq!(small.wire_packet_len(), 128);
    let mut other = small;
    other.offload.gso = Some(Gso {
        kind: GsoKind::Other(3),
        size: 10,
        ecn: false,
    });
    assert_eq!(other.wire_packet_len(), 128);
}

#[test]
fn the_device_is_told_offsets_from_the_link_header() {
    // As measured on eth0: IPIP super-segment, csum_start 54 = 14 + 20 + 20.
    let mut frame =
        build::super_segment(&build::tcp(A, B, 1, 2, TcpFlags::ACK, 0, &[0; 5000]), 1428);
    ipip::encapsulate(&mut frame, OUTER);
    frame.set_link(&[0; 14]);
    let bytes = frame.virtio_header();
    let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    assert_eq!(bytes[..2], [1, 1]);
    assert_eq!(
        (word(2), word(4), word(6), word(8)),
        (14 + 20 + 20 + 20, 1428, 54, 16)
    );
    assert_eq!(Offload::from_virtio(&bytes, 14), Ok(frame.offload));
}

#[test]
fn a_finished_checksum_is_the_one_the_sender_left_to_the_device() {
    let sctp = build::sctp(A, B, 7, 8, 9, (0, b"chunk"));
    for packet in [
        build::udp(A, B, 1, 2, b"odd"),
        build::tcp(A, B, 1, 2, TcpFlags::ACK, 3, b"payload"),
        sctp,
    ] {
        let mut frame = build::with_partial_checksum(&packet);
        assert_ne!(frame.packet(), packet);
        frame.finish_checksum();
        assert_eq!(frame.packet(), packet);
        assert_eq!(frame.offload.checksum, Checksum::Valid);

        let mut frame = build::with_partial_checksum(&packet);
        ipip::encapsulate(&mut frame, OUTER);
        frame.finish_checksum();
        assert_eq!(frame.packet()[20..], packet);
    }
}

#[test]
fn finishing_leaves_full_checksums_and_super_segments_alone() {
    let packet = build::udp(A, B, 1, 2, &[3; 3000]);
    let mut plain = Frame::from_packet(&packet);
    plain.finish_checksum();
    assert_eq!(
        (plain.packet(), plain.offload),
        (packet.as_slice(), Offload::default())
    );
    let mut whole = build::super_segment(&packet, 1000);
    let before = whole.clone();
    whole.finish_checksum();
    assert_eq!(whole, before);
}

proptest! {
    #[test]
    fn no_offload_makes_a_frame_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), virtio: [u8; 10], link in prop::sample::select(vec![0_usize, 14])) {
        let Ok(offload) = Offload::from_virtio(&virtio, link) else { return Ok(()) };
        let mut frame = Frame::new();
        frame.rx_buffer(link)[..bytes.len()].copy_from_slice(&bytes);
        frame.received(link, bytes.len(), offload);
        let _ = (frame.wire_packet_len(), frame.virtio_header());
        if let Ok(header) = ipv4::Header::parse(frame.packet()) {
            let _ = frame.check_offload(&header);
        }
        frame.finish_checksum();
        prop_assert_eq!(frame.bytes().len(), bytes.len());
    }
}
