//! IPIP: identity of push and strip, the ECN table, and what is left alone on an error.

use proptest::prelude::*;

use super::*;
use crate::offload::Checksum;
use crate::{MacAddr, build};

const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const OUTER: Outer = Outer {
    src: Ipv4Addr::new(172, 16, 30, 6),
    dst: Ipv4Addr::new(172, 16, 30, 7),
    identification: 0x1234,
};

fn decap(frame: &mut Frame) -> Result<ipv4::Header, Error> {
    let outer = ipv4::Header::parse(frame.packet()).unwrap();
    decapsulate(frame, &outer)
}

#[test]
fn the_outer_header_has_ttl_64_df_and_the_inner_tos() {
    let inner = build::with_header(&build::udp(POD, PEER, 1, 2, b"payload"), |h| h.tos = 0xb9);
    let mut frame = Frame::from_ethernet(&build::ethernet(MacAddr::ZERO, MacAddr::ZERO, &inner));
    encapsulate(&mut frame, OUTER);
    let outer = ipv4::Header::parse(frame.packet()).unwrap();
    assert_eq!(
        (outer.src, outer.dst, outer.protocol),
        (OUTER.src, OUTER.dst, Protocol::IPIP)
    );
    assert_eq!(
        (outer.ttl, outer.tos, outer.identification),
        (64, 0xb9, 0x1234)
    );
    assert!(outer.dont_fragment && outer.total_len == 20 + inner.len());
    assert_eq!(frame.packet()[20..], inner);
    assert!(frame.link().is_empty());
}

#[test]
fn ecn_leaves_the_tunnel_as_figure_4_of_rfc_6040_says() {
    // Rows: inner Not-ECT, ECT(0), ECT(1), CE. Columns: outer Not-ECT, ECT(0), ECT(1), CE. None is drop.
    let codes = [NOT_ECT, ECT_0, ECT_1, CE];
    let table = [
        [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None],
        [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)],
        [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)],
        [Some(CE), Some(CE), Some(CE), Some(CE)],
    ];
    for (inner_ecn, row) in codes.iter().zip(table) {
        for (outer_ecn, expected) in codes.iter().zip(row) {
            let inner =
                build::with_header(&build::udp(POD, PEER, 1, 2, b"x"), |h| h.tos = *inner_ecn);
            let packet = build::ipip(OUTER.src, OUTER.dst, &inner);
            let packet = build::with_header(&packet, |h| h.tos = 0xb8 | *outer_ecn);
            let mut frame = Frame::from_packet(&packet);
            let before = frame.clone();
            let Some(expected) = expected else {
                assert_eq!(decap(&mut frame), Err(Error::EcnDrop));
                assert_eq!(frame, before);
                continue;
            };
            let header = decap(&mut frame).unwrap();
            assert_eq!(ipv4::Header::parse(frame.packet()), Ok(header));
            assert_eq!(
                header.tos,
                0xb8 | expected,
                "inner {inner_ecn:02b} outer {outer_ecn:02b}"
            );
        }
    }
}

#[test]
fn a_malformed_inner_packet_is_named_and_the_frame_is_as_it_was() {
    let inner = build::udp(POD, PEER, 1, 2, b"payload");
    for len in 0..inner.len() {
        let mut frame = Frame::from_packet(&build::ipv4(
            OUTER.src,
            OUTER.dst,
            Protocol::IPIP,
            &inner[..len],
        ));
        let before = frame.clone();
        assert!(matches!(decap(&mut frame), Err(Error::Inner(_))));
        assert_eq!(frame, before);
    }
}

#[test]
fn padding_after_the_outer_packet_is_not_taken_for_inner_bytes() {
    let mut packet = build::ipv4(
        OUTER.src,
        OUTER.dst,
        Protocol::IPIP,
        &build::udp(POD, PEER, 1, 2, b"payload")[..27],
    );
    packet.resize(60, 0);
    let mut frame = Frame::from_packet(&packet);
    assert_eq!(
        decap(&mut frame),
        Err(Error::Inner(ipv4::Error::TotalLength))
    );
}

#[test]
fn the_checksum_start_of_a_super_segment_follows_both_ways() {
    // As measured on eth0: csum_start 54 from the MAC header is 40 from the outer packet.
    let mut frame = build::super_segment(
        &build::tcp(
            POD,
            PEER,
            1,
            2,
            crate::transport::TcpFlags::ACK,
            0,
            &[0; 65_495],
        ),
        1428,
    );
    let before = frame.clone();
    encapsulate(&mut frame, OUTER);
    assert_eq!(
        frame.offload.checksum,
        Checksum::Partial {
            start: 40,
            offset: 16
        }
    );
    assert_eq!(
        u16::from_be_bytes([frame.packet()[2], frame.packet()[3]]),
        u16::MAX
    );
    frame.pull_packet(OVERHEAD);
    assert_eq!(frame, before);
}

proptest! {
    #[test]
    fn decapsulation_undoes_encapsulation(payload in prop::collection::vec(any::<u8>(), 0..200), tos: u8, padding in 0..20_usize) {
        let inner = build::with_header(&build::udp(POD, PEER, 1, 2, &payload), |h| h.tos = tos);
        let mut frame = Frame::from_packet(&inner);
        encapsulate(&mut frame, OUTER);
        let mut padded = frame.packet().to_vec();
        padded.extend(vec![0; padding]);
        let mut frame = Frame::from_packet(&padded);
        prop_assert!(decap(&mut frame).is_ok());
        prop_assert_eq!(frame.packet(), inner.as_slice());
    }
}
