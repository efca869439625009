//! Checksums against literal bytes, against a slow sum, and against smoltcp's.

use proptest::prelude::*;
use smoltcp::wire::{IpAddress, TcpPacket, UdpPacket};

use super::*;
use crate::{build, transport::TcpFlags};

const A: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const B: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);

/// RFC 1071 section 4.1, word by word.
fn slow(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn the_example_of_rfc_1071_adds_up_to_ddf2() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Sum::ZERO.bytes(&bytes).folded(), 0xddf2);
    assert_eq!(internet(&bytes), !0xddf2);
}

#[test]
fn the_example_of_rfc_1624_gives_zero_and_not_its_complement() {
    assert_eq!(update_u16(0xdd2f, 0x5555, 0x3285), 0x0000);
}

#[test]
fn a_run_of_ones_neither_overflows_nor_loses_carries() {
    let bytes = vec![0xff; 65_535];
    assert_eq!(internet(&bytes), slow(&bytes));
}

#[test]
fn a_udp_checksum_that_comes_out_zero_is_sent_as_ones() {
    let mut packet = build::udp(A, B, 1, 2, &[0, 0]);
    let header = ipv4::Header::parse(&packet).unwrap();
    let sum = u16::from_be_bytes([packet[26], packet[27]]);
    packet[28..30].copy_from_slice(&sum.to_be_bytes());
    fill_transport(&mut packet, &header);
    assert_eq!(packet[26..28], [0xff, 0xff]);
    assert!(verify_transport(&packet, &header));
}

#[test]
fn a_udp_packet_without_checksum_passes_and_one_with_a_wrong_checksum_does_not() {
    let mut packet = build::udp(A, B, 1, 2, b"payload");
    let header = ipv4::Header::parse(&packet).unwrap();
    packet[26..28].fill(0);
    assert!(verify_transport(&packet, &header));
    packet[27] = 1;
    assert!(!verify_transport(&packet, &header));
}

#[test]
fn the_sctp_checksum_is_crc32c_stored_little_endian() {
    // RFC 3720 appendix B.4: CRC32c of 32 zero bytes is aa 36 91 8a on the wire.
    let mut l4 = [0; 32];
    fill_sctp(&mut l4);
    assert_eq!(l4[8..12], [0xaa, 0x36, 0x91, 0x8a]);
    let packet = build::sctp(A, B, 7, 8, 0x01020304, (1, b"init"));
    let header = ipv4::Header::parse(&packet).unwrap();
    assert!(verify_transport(&packet, &header));
    let mut broken = packet.clone();
    *broken.last_mut().unwrap() ^= 1;
    assert!(!verify_transport(&broken, &header));
}

#[test]
fn a_payload_shorter_than_its_header_is_never_verified_and_never_written() {
    for protocol in [Protocol::TCP, Protocol::UDP, Protocol::SCTP, Protocol::ICMP] {
        let (_, least) = field(protocol).unwrap();
        for len in 0..least {
            let mut packet = build::ipv4(A, B, protocol, &vec![0x5a; len]);
            let header = ipv4::Header::parse(&packet).unwrap();
            assert!(!verify_transport(&packet, &header));
            let before = packet.clone();
            fill_transport(&mut packet, &header);
            assert_eq!(packet, before);
        }
    }
}

proptest! {
    #[test]
    fn a_header_adds_up_as_any_bytes_do(mut header: [u8; 20], mend: bool) {
        if mend {
            header[10..12].fill(0);
            let sum = internet(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        prop_assert_eq!(verify_header(&header), verify(&header));
        prop_assert!(!mend || verify_header(&header));
    }

    #[test]
    fn the_wide_sum_is_the_slow_sum(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(internet(&bytes), slow(&bytes));
    }

    #[test]
    fn a_sum_may_be_taken_in_even_pieces(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..100_usize) {
        let cut = (cut * 2).min(bytes.len() & !1);
        let (a, b) = bytes.split_at(cut);
        prop_assert_eq!(Sum::ZERO.bytes(a).bytes(b).folded(), Sum::ZERO.bytes(&bytes).folded());
    }

    #[test]
    fn the_incremental_checksum_is_the_full_one(mut words in prop::collection::vec(any::<u16>(), 3..40), at: prop::sample::Index, new: u32) {
        words[0] |= 0x4000; // A header is never all zeros.
        let bytes = |words: &[u16]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
        let before = internet(&bytes(&words));
        let at = 1 + at.index(words.len() - 2);
        let old = u32::from(words[at]) << 16 | u32::from(words[at + 1]);
        words[at] = (new >> 16) as u16;
        let after = internet(&bytes(&words));
        prop_assert_eq!(update_u16(before, (old >> 16) as u16, words[at]), after);
        words[at + 1] = new as u16;
        prop_assert_eq!(update_u32(before, old, new), internet(&bytes(&words)));
    }

    #[test]
    fn smoltcp_agrees_with_transport_checksums(src: [u8; 4], dst: [u8; 4], payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
        let ends = (IpAddress::Ipv4(src), IpAddress::Ipv4(dst));
        let udp = build::udp(src, dst, 5000, 53, &payload);
        prop_assert!(UdpPacket::new_checked(&udp[20..]).unwrap().verify_checksum(&ends.0, &ends.1));
        let tcp = build::tcp(src, dst, 40_000, 80, TcpFlags::ACK, 1, &payload);
        prop_assert!(TcpPacket::new_checked(&tcp[20..]).unwrap().verify_checksum(&ends.0, &ends.1));
        for packet in [udp, tcp] {
            prop_assert!(verify_transport(&packet, &ipv4::Header::parse(&packet).unwrap()));
        }
    }
}
