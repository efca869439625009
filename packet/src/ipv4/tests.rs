//! IPv4 headers on literal bytes, at every truncation, and against smoltcp and etherparse.

use proptest::prelude::*;

use super::*;
use crate::build;

const A: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const B: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);

/// The example header of Wikipedia's "IPv4 header checksum": a 115-byte UDP packet.
const LITERAL: [u8; 20] = [
    0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01,
    0xc0, 0xa8, 0x00, 0xc7,
];

fn any_header() -> impl Strategy<Value = Header> {
    let bits = (any::<bool>(), any::<bool>(), 0..0x2000_u16);
    let bytes = (any::<u8>(), any::<u8>(), any::<u8>(), any::<u16>());
    (
        any::<[u8; 4]>(),
        any::<[u8; 4]>(),
        bytes,
        bits,
        20..200_usize,
    )
        .prop_map(|(src, dst, bytes, bits, total_len)| Header {
            src: src.into(),
            dst: dst.into(),
            protocol: Protocol(bytes.0),
            ttl: bytes.1,
            tos: bytes.2,
            identification: bytes.3,
            dont_fragment: bits.0,
            more_fragments: bits.1,
            fragment_offset_bytes: bits.2 * 8,
            header_len: HEADER_LEN,
            total_len,
        })
}

#[test]
fn reads_the_fields_of_a_literal_header() {
    let mut packet = LITERAL.to_vec();
    packet.resize(115, 0);
    let header = Header::parse(&packet).unwrap();
    assert_eq!(header.src, Ipv4Addr::new(192, 168, 0, 1));
    assert_eq!(header.dst, Ipv4Addr::new(192, 168, 0, 199));
    assert_eq!(
        (header.protocol, header.ttl, header.tos),
        (Protocol::UDP, 64, 0)
    );
    assert_eq!(
        (header.header_len, header.total_len, header.payload_len()),
        (20, 115, 95)
    );
    assert!(header.dont_fragment && !header.is_fragment() && !header.has_options());
    assert_eq!(header.emit(), LITERAL);
}

#[test]
fn each_malformation_has_its_own_error() {
    let good = build::udp(A, B, 1, 2, b"payload");
    let with = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        Header::parse(&packet).unwrap_err()
    };
    assert_eq!(with(0, 0x65), Error::NotVersion4);
    assert_eq!(with(0, 0x44), Error::HeaderLength);
    assert_eq!(with(0, 0x4f), Error::Truncated);
    assert_eq!(with(3, 19), Error::TotalLength);
    assert_eq!(with(3, good.len() as u8 + 1), Error::TotalLength);
    assert_eq!(with(11, good[11] ^ 1), Error::Checksum);
    assert_eq!(Header::parse(&[]), Err(Error::Truncated));
}

#[test]
fn a_packet_cut_at_any_length_is_refused_and_its_quotation_is_not() {
    let packet = build::with_options(&build::udp(A, B, 1, 2, b"payload"), &[148, 4, 0, 0]);
    for len in 0..packet.len() {
        assert!(Header::parse(&packet[..len]).is_err());
        assert_eq!(Header::parse_quoted(&packet[..len]).is_ok(), len >= 24);
    }
    let header = Header::parse_quoted(&packet[..26]).unwrap();
    assert_eq!(header.payload(&packet[..26]), &packet[24..26]);
    assert_eq!(header.payload(&packet[..3]), b"");
}

#[test]
fn ethernet_padding_is_no_payload() {
    let mut packet = build::udp(A, B, 1, 2, b"");
    packet.resize(46, 0xaa);
    let header = Header::parse(&packet).unwrap();
    assert_eq!(header.payload(&packet).len(), 8);
}

#[test]
fn fragments_are_told_apart() {
    let packet = build::udp(A, B, 1, 2, b"payload");
    let fragment = |more, offset| {
        let bytes = build::with_header(&packet, |h| {
            (h.more_fragments, h.fragment_offset_bytes) = (more, offset);
        });
        let header = Header::parse(&bytes).unwrap();
        (header.is_fragment(), header.is_first_fragment())
    };
    assert_eq!(fragment(false, 0), (false, false));
    assert_eq!(fragment(true, 0), (true, true));
    assert_eq!(fragment(true, 8), (true, false));
    assert_eq!(fragment(false, 65_528), (true, false));
}

#[test]
fn options_are_walked_until_they_end_or_are_malformed() {
    let walk = |options: &[u8]| {
        let packet = build::with_options(&build::udp(A, B, 1, 2, b""), options);
        let header = Header::parse(&packet).unwrap();
        let kinds: Vec<_> = super::options(&packet, &header)
            .map(|(kind, bytes)| (kind, bytes.len()))
            .collect();
        (kinds, has_source_route(&packet, &header))
    };
    assert_eq!(walk(&[]), (vec![], false));
    assert_eq!(
        walk(&[1, 148, 4, 0, 0, 1, 0, 131]),
        (vec![(1, 1), (148, 4), (1, 1)], false)
    );
    assert_eq!(walk(&[1, 131, 3, 4]), (vec![(1, 1), (131, 3)], true));
    assert_eq!(walk(&[137, 7, 4, 10, 0, 0, 1]), (vec![(137, 7)], true));
    assert_eq!(walk(&[7, 1, 0, 0]), (vec![], false));
    assert_eq!(walk(&[7, 9, 0, 0]), (vec![], false));
    assert_eq!(walk(&[1, 1, 1, 7]), (vec![(1, 1), (1, 1), (1, 1)], false));
}

#[test]
fn a_hop_less_changes_the_checksum_as_a_fresh_one_would_for_every_checksum() {
    let mut header = Header::parse(&build::udp(A, B, 1, 2, b"")).unwrap();
    for identification in 0..=u16::MAX {
        header.identification = identification;
        let mut packet = header.emit();
        decrement_ttl(&mut packet);
        let ttl = header.ttl - 1;
        assert_eq!(packet, Header { ttl, ..header }.emit(), "{identification}");
    }
}

proptest! {
    #[test]
    fn emit_then_parse_is_identity(header in any_header()) {
        let mut packet = header.emit().to_vec();
        packet.resize(header.total_len, 0);
        prop_assert_eq!(Header::parse(&packet), Ok(header));
    }

    #[test]
    fn smoltcp_and_etherparse_read_the_same(header in any_header()) {
        let mut packet = header.emit().to_vec();
        packet.resize(header.total_len, 0);
        let theirs = smoltcp::wire::Ipv4Packet::new_checked(&packet).unwrap();
        prop_assert!(theirs.verify_checksum());
        prop_assert_eq!((theirs.src_addr(), theirs.dst_addr(), theirs.hop_limit()), (header.src, header.dst, header.ttl));
        prop_assert_eq!((theirs.frag_offset(), theirs.more_frags(), theirs.dont_frag()), (header.fragment_offset_bytes, header.more_fragments, header.dont_fragment));
        let (theirs, _) = etherparse::Ipv4Header::from_slice(&packet).unwrap();
        prop_assert_eq!(theirs.to_bytes().to_vec(), packet[..20].to_vec());
    }

    #[test]
    fn an_edited_header_has_the_checksum_of_a_fresh_one(header in any_header(), tos: u8, identification: u16, ttl in 2..=255_u8) {
        let header = Header { ttl, ..header };
        let mut packet = header.emit();
        decrement_ttl(&mut packet);
        set_tos(&mut packet, tos);
        set_identification(&mut packet, identification);
        set_total_len(&mut packet, 1234);
        let expected = Header { ttl: ttl - 1, tos, identification, total_len: 1234, ..header };
        prop_assert_eq!(packet, expected.emit());
    }

    #[test]
    fn no_bytes_make_the_parser_or_the_option_walk_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), honest: bool) {
        if let (true, Some(first)) = (honest, bytes.first_mut()) {
            *first = 0x40 | *first & 0x0f;
            fill_checksum(&mut bytes);
        }
        if let Ok(header) = Header::parse_quoted(&bytes) {
            prop_assert!(options(&bytes, &header).map(|(_, o)| o.len()).sum::<usize>() <= 40);
            let _ = (has_source_route(&bytes, &header), header.payload(&bytes));
        }
        let _ = Header::parse(&bytes);
    }
}
