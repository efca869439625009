//! Cutting super-segments: payload conserved, every checksum right once finished (smoltcp and etherparse judge).

use std::net::Ipv4Addr;

use proptest::prelude::*;
use smoltcp::wire::{IpAddress, Ipv4Packet, TcpPacket, UdpPacket};

use super::*;
use crate::transport::{TcpHeader, UdpHeader};
use crate::{build, ipip};

const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const OUTER: ipip::Outer = ipip::Outer {
    src: Ipv4Addr::new(172, 16, 30, 6),
    dst: Ipv4Addr::new(172, 16, 30, 7),
    identification: 0xffff,
};

/// Cuts a frame and finishes each piece as a device would, from its virtio-net header.
fn cut(frame: &Frame) -> Vec<Frame> {
    let mut segments = Segments::of(frame).unwrap();
    let mut headers = [0xaa; MAX_HEADERS];
    let mut frames = Vec::new();
    let expected = segments.remaining();
    while let Some(segment) = segments.next(&mut headers) {
        let bytes = [&headers[..segment.headers_len], segment.payload].concat();
        let link_len = frame.link().len();
        let mut piece = Frame::new();
        piece.rx_buffer(link_len)[..bytes.len()].copy_from_slice(&bytes);
        let offload = Offload::from_virtio(&segment.virtio, link_len).unwrap();
        assert_eq!(offload, segment.offload);
        piece.received(link_len, bytes.len(), offload);
        piece.finish_checksum();
        frames.push(piece);
        assert_eq!(segments.remaining(), expected - frames.len());
    }
    assert_eq!(frames.len(), expected);
    frames
}

/// The packet of a piece, decapsulated if need be, and its header.
fn innermost(piece: &Frame) -> (Vec<u8>, ipv4::Header) {
    let outer = ipv4::Header::parse(piece.packet()).unwrap();
    let packet = outer.payload(piece.packet());
    if outer.protocol != Protocol::IPIP {
        return (piece.packet().to_vec(), outer);
    }
    assert_eq!(outer.total_len, piece.packet_len());
    (packet.to_vec(), ipv4::Header::parse(packet).unwrap())
}

fn tcp_frame(payload: &[u8], flags: TcpFlags, size: u16) -> Frame {
    let packet = build::tcp(POD, PEER, 40_000, 80, flags, u32::MAX - 1000, payload);
    let packet = build::with_header(&packet, |h| h.identification = 0xfffe);
    build::super_segment(&packet, size)
}

#[test]
fn tcp_flags_stand_where_the_kernel_puts_them() {
    let all = TcpFlags::ACK | TcpFlags::PSH | TcpFlags::FIN | TcpFlags::CWR | TcpFlags::ECE;
    let mut frame = tcp_frame(&[7; 2500], all, 1000);
    frame.set_link(&[0xee; 14]);
    let pieces = cut(&frame);
    let flags: Vec<_> = pieces
        .iter()
        .map(|p| TcpHeader::parse(&p.packet()[20..]).unwrap().flags)
        .collect();
    let middle = TcpFlags::ACK | TcpFlags::ECE;
    assert_eq!(
        flags,
        [
            middle | TcpFlags::CWR,
            middle,
            middle | TcpFlags::PSH | TcpFlags::FIN
        ]
    );
    assert!(pieces.iter().all(|piece| piece.link() == [0xee; 14]));
}

#[test]
fn sequence_numbers_and_identifications_count_up_and_wrap() {
    let mut frame = tcp_frame(&[7; 2500], TcpFlags::ACK, 1000);
    ipip::encapsulate(&mut frame, OUTER);
    let pieces = cut(&frame);
    let numbers: Vec<_> = pieces
        .iter()
        .map(|piece| {
            let (packet, header) = innermost(piece);
            let outer = ipv4::Header::parse(piece.packet()).unwrap();
            (
                outer.identification,
                header.identification,
                TcpHeader::parse(&packet[20..]).unwrap().seq,
            )
        })
        .collect();
    assert_eq!(
        numbers,
        [
            (0xffff, 0xfffe, u32::MAX - 1000),
            (0, 0xffff, u32::MAX),
            (1, 0, 999)
        ]
    );
}

#[test]
fn the_largest_super_segment_is_cut_within_ipip_although_its_outer_length_overflows() {
    let payload: Vec<u8> = (0..65_495_u32).map(|n| (n % 251) as u8).collect();
    let mut frame = tcp_frame(&payload, TcpFlags::ACK, 1428);
    ipip::encapsulate(&mut frame, OUTER);
    let pieces = cut(&frame);
    assert_eq!(pieces.len(), 46);
    let joined: Vec<u8> = pieces
        .iter()
        .flat_map(|piece| innermost(piece).0[40..].to_vec())
        .collect();
    assert!(joined == payload);
}

#[test]
fn padding_is_left_out_and_an_empty_payload_is_one_segment() {
    let frame = tcp_frame(b"", TcpFlags::ACK, 1000);
    let mut padded = Frame::from_packet(&[frame.packet(), &[0xee; 6]].concat());
    padded.offload = frame.offload;
    let pieces = cut(&padded);
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].packet_len(), 40);
}

#[test]
fn what_cannot_be_cut_is_named() {
    let udp = build::udp(POD, PEER, 1, 2, &[0; 3000]);
    let error = |frame: &Frame| Segments::of(frame).unwrap_err();
    assert_eq!(error(&Frame::from_packet(&udp)), Error::NotGso);
    let mut frame = build::super_segment(&udp, 1000);
    frame.offload.gso = Some(Gso {
        kind: GsoKind::Tcp4,
        size: 1000,
        ecn: false,
    });
    assert_eq!(
        error(&frame),
        Error::Kind {
            kind: GsoKind::Tcp4,
            protocol: Protocol::UDP
        }
    );
    let fragment = build::with_header(&udp, |h| h.more_fragments = true);
    assert!(matches!(
        error(&build::super_segment(&fragment, 1000)),
        Error::Kind { .. }
    ));
    let short = build::ipv4(POD, PEER, Protocol::UDP, &[0; 7]);
    let mut frame = Frame::from_packet(&short);
    frame.offload.gso = Some(Gso {
        kind: GsoKind::UdpL4,
        size: 1000,
        ecn: false,
    });
    assert_eq!(error(&frame), Error::Transport(Protocol::UDP));
    frame.truncate_packet(25);
    assert_eq!(error(&frame), Error::Ipv4(ipv4::Error::TotalLength));
    frame.truncate_packet(19);
    assert_eq!(error(&frame), Error::Ipv4(ipv4::Error::Truncated));
}

#[test]
fn headers_longer_than_the_buffer_are_refused() {
    let mut tcp = build::tcp(POD, PEER, 1, 2, TcpFlags::ACK, 0, &[1; 3000]);
    tcp[20 + 12] = 0xf0;
    let inner = build::with_options(&tcp, &[1; 40]);
    let frame = build::super_segment(&inner, 500);
    let outer = build::with_options(&build::ipip(OUTER.src, OUTER.dst, frame.packet()), &[1; 40]);
    let mut frame = Frame::from_packet(&outer);
    frame.offload.gso = Some(Gso {
        kind: GsoKind::Tcp4,
        size: 500,
        ecn: false,
    });
    frame.set_link(&[0; 14]);
    assert_eq!(Segments::of(&frame).unwrap_err(), Error::Headers(194));
    frame.clear_link();
    assert_eq!(cut(&frame).len(), (3000 - 40_usize).div_ceil(500));
}

proptest! {
    #[test]
    fn pieces_join_to_the_original_and_are_well_formed(
        payload in prop::collection::vec(any::<u8>(), 1..4000), size in 1..1500_u16, is_tcp: bool, tunnel: bool, link: bool, options in 0..=10_usize,
    ) {
        let size = size.max(payload.len() as u16 / 40 + 1);
        let packet = if is_tcp {
            build::tcp(POD, PEER, 40_000, 80, TcpFlags::ACK | TcpFlags::PSH, 77, &payload)
        } else {
            build::udp(POD, PEER, 5000, 53, &payload)
        };
        let mut frame = build::super_segment(&build::with_options(&packet, &vec![1; options * 4]), size);
        let largest = frame.wire_packet_len();
        if tunnel {
            ipip::encapsulate(&mut frame, OUTER);
        }
        if link {
            frame.set_link(&[0x42; 14]);
        }
        let ends = (IpAddress::Ipv4(POD), IpAddress::Ipv4(PEER));
        let mut joined = Vec::<u8>::new();
        for piece in cut(&frame) {
            prop_assert_eq!(piece.link(), frame.link());
            let (packet, header) = innermost(&piece);
            prop_assert!(header.total_len == packet.len() && packet.len() <= largest);
            prop_assert!(Ipv4Packet::new_checked(piece.packet()).unwrap().verify_checksum());
            let (_, transport) = (etherparse::SlicedPacket::from_ip(&packet).unwrap(), header.payload(&packet));
            if is_tcp {
                let tcp = TcpPacket::new_checked(transport).unwrap();
                prop_assert!(tcp.verify_checksum(&ends.0, &ends.1));
                prop_assert_eq!(tcp.seq_number().0 as usize, 77 + joined.len());
                joined.extend(tcp.payload());
            } else {
                let udp = UdpPacket::new_checked(transport).unwrap();
                prop_assert!(udp.verify_checksum(&ends.0, &ends.1));
                prop_assert_eq!(usize::from(UdpHeader::parse(transport).unwrap().length), transport.len());
                joined.extend(udp.payload());
            }
        }
        prop_assert_eq!(joined, payload);
    }

    #[test]
    fn truncation_at_any_length_never_panics(len in 0..120_usize, is_tcp: bool) {
        let packet = if is_tcp { build::tcp(POD, PEER, 1, 2, TcpFlags::ACK, 0, &[0; 40]) } else { build::udp(POD, PEER, 1, 2, &[0; 40]) };
        let mut frame = build::super_segment(&packet, 7);
        ipip::encapsulate(&mut frame, OUTER);
        frame.truncate_packet(len);
        let whole = len >= frame.packet_len() && frame.packet_len() == 20 + packet.len();
        prop_assert_eq!(Segments::of(&frame).is_ok(), whole);
    }
}
