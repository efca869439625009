//! Flow keys, and the hash both directions share.

use proptest::prelude::*;

use super::*;
use crate::{build, transport::TcpFlags};

const A: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const B: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);

fn key(packet: &[u8]) -> FlowKey {
    FlowKey::read(packet, &ipv4::Header::parse(packet).unwrap()).unwrap()
}

#[test]
fn a_request_and_its_reply_are_each_others_reverse() {
    let request = key(&build::tcp(A, B, 40_000, 80, TcpFlags::SYN, 1, b""));
    let reply = key(&build::tcp(
        B,
        A,
        80,
        40_000,
        TcpFlags::SYN | TcpFlags::ACK,
        1,
        b"",
    ));
    assert_eq!(
        request,
        FlowKey {
            src: A,
            dst: B,
            src_port: 40_000,
            dst_port: 80,
            protocol: Protocol::TCP
        }
    );
    assert_eq!(request.reversed(), reply);
    assert_eq!(request.symmetric_hash(), reply.symmetric_hash());
}

#[test]
fn an_echo_and_its_reply_share_the_identifier() {
    let request = key(&build::icmp_echo(A, B, 77, 1, b""));
    assert_eq!((request.src_port, request.dst_port), (77, 77));
    assert_eq!(
        request.reversed(),
        key(&build::icmp_echo_reply(B, A, 77, 1, b""))
    );
}

#[test]
fn protocols_without_ports_and_later_fragments_have_zeros() {
    let gre = build::ipv4(A, B, Protocol::GRE, &[1, 2, 3, 4]);
    assert_eq!((key(&gre).src_port, key(&gre).dst_port), (0, 0));
    let later = build::with_header(&build::udp(A, B, 1, 2, b"x"), |h| {
        h.fragment_offset_bytes = 8;
    });
    assert_eq!((key(&later).src_port, key(&later).dst_port), (0, 0));
    let unreachable = build::icmp_error(B, icmpv4::Message::PortUnreachable, &gre);
    assert_eq!(
        (key(&unreachable).src_port, key(&unreachable).dst_port),
        (0, 0)
    );
}

#[test]
fn a_payload_without_ports_is_truncated_even_if_padding_follows() {
    let mut packet = build::ipv4(A, B, Protocol::UDP, &[0, 1, 0]);
    packet.resize(46, 0xaa);
    let header = ipv4::Header::parse(&packet).unwrap();
    assert_eq!(
        FlowKey::read(&packet, &header),
        Err(Truncated {
            what: "ports",
            expected: 4,
            found: 3
        })
    );
}

#[test]
fn the_hash_is_the_one_the_fan_out_program_computes() {
    // Worked out by hand from the contract: 10.244.120.66 -> 10.244.205.193, 40000 ^ 80.
    let mut h = 0x0af4_7842_u32 ^ 0x0af4_cdc1 ^ (40_000_u32 ^ 80).wrapping_mul(0x9e37_79b1);
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 15;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^= h >> 16;
    assert_eq!(symmetric_hash(A.to_bits(), B.to_bits(), 40_000 ^ 80), h);
}

#[test]
fn the_fan_out_looks_inside_ipip_and_ignores_the_ports_of_fragments() {
    let packet = build::udp(A, B, 1000, 2000, b"payload");
    let outer = build::ipip(
        Ipv4Addr::new(172, 16, 30, 6),
        Ipv4Addr::new(172, 16, 30, 7),
        &packet,
    );
    assert_eq!(fanout_hash(&packet), key(&packet).symmetric_hash());
    assert_eq!(fanout_hash(&outer), fanout_hash(&packet));
    let first = build::with_header(&packet, |h| h.more_fragments = true);
    let last = build::with_header(&packet, |h| h.fragment_offset_bytes = 16);
    assert_eq!(fanout_hash(&first), fanout_hash(&last));
    assert_eq!(
        fanout_hash(&first),
        symmetric_hash(A.to_bits(), B.to_bits(), 0)
    );
    assert_eq!(fanout_hash(&outer[..30]), 0);
}

#[test]
fn flows_spread_evenly_over_four_workers() {
    let mut counts = [0; 4];
    for sport in 32_768..36_768 {
        let key = FlowKey {
            src: A,
            dst: B,
            src_port: sport,
            dst_port: 80,
            protocol: Protocol::TCP,
        };
        counts[key.symmetric_hash() as usize % 4] += 1;
    }
    assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
}

proptest! {
    #[test]
    fn both_directions_hash_alike(src: [u8; 4], dst: [u8; 4], src_port: u16, dst_port: u16, protocol: u8) {
        let key = FlowKey { src: src.into(), dst: dst.into(), src_port, dst_port, protocol: Protocol(protocol) };
        prop_assert_eq!(key.symmetric_hash(), key.reversed().symmetric_hash());
        prop_assert_eq!(key.reversed().reversed(), key);
    }

    #[test]
    fn truncation_never_panics(len in 0..60_usize, protocol in prop::sample::select(vec![1_u8, 4, 6, 17, 132, 47])) {
        let packet = build::ipv4(A, B, Protocol(protocol), &build::udp(B, A, 1, 2, b"payload"));
        let cut = &packet[..len.min(packet.len())];
        let _ = fanout_hash(cut);
        if let Ok(header) = ipv4::Header::parse_quoted(cut) {
            let _ = FlowKey::read(cut, &header);
        }
    }
}
