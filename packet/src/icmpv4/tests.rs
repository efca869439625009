//! ICMP headers, and errors made about packets of every size.

use proptest::prelude::*;
use smoltcp::wire::{Icmpv4Packet, Ipv4Packet};

use super::*;
use crate::build;

const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const NODE: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 64);

#[test]
fn an_echo_shows_its_identifier_and_an_error_does_not() {
    let echo = Header::parse(&[8, 0, 0, 0, 0x12, 0x34, 0, 1]).unwrap();
    assert!(echo.is_echo() && !echo.is_error());
    assert_eq!((echo.echo_id(), echo.next_hop_mtu()), (Some(0x1234), None));
    let too_big = Header::parse(&[3, 4, 0, 0, 0, 0, 5, 0x78, 0x45]).unwrap();
    assert!(too_big.is_error() && !too_big.is_echo());
    assert_eq!(
        (too_big.echo_id(), too_big.next_hop_mtu()),
        (None, Some(1400))
    );
    assert_eq!(
        too_big.quoted(&[3, 4, 0, 0, 0, 0, 5, 0x78, 0x45]),
        Some(&[0x45][..])
    );
    for len in 0..HEADER_LEN {
        assert!(Header::parse(&[8; HEADER_LEN][..len]).is_err());
        assert!(!verify_checksum(&[0; HEADER_LEN][..len]));
    }
}

#[test]
fn an_echo_request_is_well_formed() {
    let packet = build::icmp_echo(POD, PEER, 7, 1, b"abcdefgh");
    assert!(verify_checksum(&packet[20..]));
    assert!(
        Icmpv4Packet::new_checked(&packet[20..])
            .unwrap()
            .verify_checksum()
    );
}

#[test]
fn time_exceeded_quotes_a_short_packet_whole() {
    let packet = build::udp(POD, PEER, 40_000, 33_434, b"probe");
    let mut frame = Frame::from_ethernet(&build::ethernet(
        crate::MacAddr::ZERO,
        crate::MacAddr::BROADCAST,
        &packet,
    ));
    make_error(&mut frame, Message::TimeExceeded, NODE);
    assert!(frame.link().is_empty());
    let header = ipv4::Header::parse(frame.packet()).unwrap();
    assert_eq!(
        (header.src, header.dst, header.protocol),
        (NODE, POD, Protocol::ICMP)
    );
    assert_eq!(
        (header.ttl, header.tos, header.total_len),
        (64, 0xc0, frame.packet_len())
    );
    let icmp = header.payload(frame.packet());
    assert!(verify_checksum(icmp));
    let error = Header::parse(icmp).unwrap();
    assert_eq!((error.kind, error.code), (TIME_EXCEEDED, 0));
    assert_eq!(error.quoted(icmp), Some(packet.as_slice()));
}

#[test]
fn of_a_super_segment_only_the_head_is_quoted_and_nothing_is_left_to_a_device() {
    let packet = build::tcp(
        POD,
        PEER,
        1,
        2,
        crate::transport::TcpFlags::ACK,
        1,
        &[0x55; 60_000],
    );
    let mut frame = build::super_segment(&packet, 1448);
    make_error(
        &mut frame,
        Message::FragmentationNeeded { next_hop_mtu: 1480 },
        NODE,
    );
    assert_eq!(frame.packet_len(), MAX_ERROR_LEN);
    assert_eq!(frame.offload, Offload::default());
    let icmp = &frame.packet()[20..];
    assert_eq!(Header::parse(icmp).unwrap().next_hop_mtu(), Some(1480));
    assert!(verify_checksum(icmp));
}

#[test]
fn every_message_has_the_type_and_code_of_its_rfc() {
    let code = |message: Message| (message.header().kind, message.header().code);
    assert_eq!(code(Message::TimeExceeded), (11, 0));
    assert_eq!(code(Message::NetUnreachable), (3, 0));
    assert_eq!(code(Message::HostUnreachable), (3, 1));
    assert_eq!(code(Message::ProtocolUnreachable), (3, 2));
    assert_eq!(code(Message::PortUnreachable), (3, 3));
    assert_eq!(
        code(Message::FragmentationNeeded { next_hop_mtu: 0 }),
        (3, 4)
    );
    assert_eq!(code(Message::AdminProhibited), (3, 13));
}

#[test]
fn bytes_that_are_no_packet_are_left_alone() {
    let mut frame = Frame::from_packet(&[0x45; 19]);
    make_error(&mut frame, Message::TimeExceeded, NODE);
    assert_eq!(frame.packet(), [0x45; 19]);
}

proptest! {
    #[test]
    fn an_error_is_well_formed_at_most_576_bytes_and_quotes_the_head(len in 0..2000_usize, padding in 0..20_usize) {
        let packet = build::udp(POD, PEER, 1, 2, &vec![7; len]);
        let mut padded = packet.clone();
        padded.extend(vec![0xee; padding]);
        let mut frame = Frame::from_packet(&padded);
        make_error(&mut frame, Message::HostUnreachable, NODE);
        prop_assert_eq!(frame.packet_len(), (packet.len() + 28).min(576));
        prop_assert!(packet.starts_with(&frame.packet()[28..]));
        let theirs = Ipv4Packet::new_checked(frame.packet()).unwrap();
        prop_assert!(theirs.verify_checksum());
        prop_assert!(Icmpv4Packet::new_checked(theirs.payload()).unwrap().verify_checksum());
    }
}
