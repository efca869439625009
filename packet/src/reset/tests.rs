//! Resets about segments of every sort.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use smoltcp::wire::{Ipv4Packet, TcpPacket};

use super::*;
use crate::build;

const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);

/// A segment with an acknowledgment number, its checksum right.
fn segment(flags: TcpFlags, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = build::tcp(POD, PEER, 40_000, 80, flags, seq, payload);
    packet[28..32].copy_from_slice(&ack.to_be_bytes());
    let header = ipv4::Header::parse(&packet).unwrap();
    checksum::fill_transport(&mut packet, &header);
    packet
}

/// The answer to a packet, checked by another implementation: sequence number, acknowledgment (if any).
#[track_caller]
fn answer(mut frame: Frame) -> (u32, Option<u32>) {
    Reset::answering(&frame)
        .expect("an answer")
        .replace(&mut frame);
    assert_eq!((frame.link(), frame.offload), (&[][..], Offload::default()));
    let ip = Ipv4Packet::new_checked(frame.packet()).unwrap();
    assert!(ip.verify_checksum());
    assert_eq!(
        (ip.src_addr(), ip.dst_addr(), ip.hop_limit()),
        (PEER, POD, 64)
    );
    assert_eq!(usize::from(ip.total_len()), frame.packet_len());
    let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
    assert!(tcp.verify_checksum(&PEER.into(), &POD.into()));
    assert_eq!((tcp.src_port(), tcp.dst_port()), (80, 40_000));
    assert!(tcp.rst() && !tcp.syn() && !tcp.fin());
    let acknowledged = tcp.ack().then(|| tcp.ack_number().0 as u32);
    (tcp.seq_number().0 as u32, acknowledged)
}

#[test]
fn a_syn_is_acknowledged_with_the_number_it_takes() {
    let syn = segment(TcpFlags::SYN, 7, 99, b"");
    assert_eq!(answer(Frame::from_packet(&syn)), (0, Some(8)));
    let wrapping = segment(TcpFlags::SYN, u32::MAX, 0, b"");
    assert_eq!(answer(Frame::from_packet(&wrapping)), (0, Some(0)));
    let with_data = segment(TcpFlags::SYN, 7, 0, b"fast open");
    assert_eq!(answer(Frame::from_packet(&with_data)), (0, Some(17)));
}

#[test]
fn an_acknowledgment_gives_the_reset_its_number() {
    for flags in [
        TcpFlags::ACK,
        TcpFlags::ACK | TcpFlags::SYN,
        TcpFlags::ACK | TcpFlags::PSH | TcpFlags::FIN,
    ] {
        let packet = segment(flags, 7, 0x8000_0001, b"data");
        assert_eq!(answer(Frame::from_packet(&packet)), (0x8000_0001, None));
    }
}

#[test]
fn a_super_segment_is_counted_whole() {
    let packet = segment(TcpFlags::PSH | TcpFlags::FIN, 1000, 0, &[0; 20_000]);
    let frame = build::super_segment(&packet, 1000);
    assert_eq!(answer(frame), (0, Some(21_001)));
}

#[test]
fn a_checksum_left_to_a_device_is_no_damage() {
    let packet = segment(TcpFlags::SYN, 7, 0, b"");
    assert_eq!(answer(build::with_partial_checksum(&packet)), (0, Some(8)));
}

#[test]
fn ip_options_and_ethernet_padding_count_for_nothing() {
    let packet = build::with_options(&segment(TcpFlags::SYN, 7, 0, b"x"), &[148, 4, 0, 0]);
    let mut bytes = build::ethernet(crate::MacAddr::ZERO, crate::MacAddr::ZERO, &packet);
    bytes.extend([0xaa; 9]);
    assert_eq!(answer(Frame::from_ethernet(&bytes)), (0, Some(9)));
}

#[test]
fn a_reset_is_never_answered() {
    for flags in [TcpFlags::RST, TcpFlags::RST | TcpFlags::ACK] {
        let packet = segment(flags, 7, 9, b"");
        assert_eq!(Reset::answering(&Frame::from_packet(&packet)), None);
    }
    let mut frame = Frame::from_packet(&segment(TcpFlags::SYN, 7, 0, b""));
    Reset::answering(&frame).unwrap().replace(&mut frame);
    assert_eq!(Reset::answering(&frame), None, "nor our own");
}

#[test]
fn what_is_damaged_or_no_tcp_is_not_answered() {
    let mut damaged = segment(TcpFlags::SYN, 7, 0, b"x");
    *damaged.last_mut().unwrap() ^= 1;
    let udp = build::udp(POD, PEER, 40_000, 80, &[0; 40]);
    let short = segment(TcpFlags::SYN, 7, 0, b"")[..39].to_vec();
    for packet in [damaged, udp, short, vec![]] {
        assert_eq!(Reset::answering(&Frame::from_packet(&packet)), None);
    }
}

#[test]
fn of_fragments_only_a_first_one_that_acknowledges_is_answered() {
    let fragment = |flags, offset| {
        let packet = segment(flags, 7, 55, &[0; 64]);
        let packet = build::with_header(&packet, |ip| {
            ip.dont_fragment = false;
            ip.more_fragments = true;
            ip.fragment_offset_bytes = offset;
        });
        Frame::from_packet(&packet)
    };
    assert_eq!(answer(fragment(TcpFlags::ACK, 0)), (55, None));
    assert_eq!(Reset::answering(&fragment(TcpFlags::SYN, 0)), None);
    assert_eq!(Reset::answering(&fragment(TcpFlags::ACK, 64)), None);
}

proptest! {
    #[test]
    fn whatever_is_answered_is_answered_by_a_well_formed_reset_once(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        seq in any::<u32>(),
        ack in any::<u32>(),
        flags in any::<u8>(),
    ) {
        let _ = Reset::answering(&Frame::from_packet(&bytes));
        let packet = segment(TcpFlags(flags), seq, ack, &bytes);
        let mut frame = Frame::from_packet(&packet);
        if let Some(reset) = Reset::answering(&frame) {
            reset.replace(&mut frame);
            let header = ipv4::Header::parse(frame.packet()).unwrap();
            prop_assert_eq!(header.total_len, LEN);
            prop_assert!(checksum::verify_transport(frame.packet(), &header));
            prop_assert_eq!(Reset::answering(&frame), None);
        } else {
            prop_assert!(TcpFlags(flags).contains(TcpFlags::RST));
        }
    }
}
