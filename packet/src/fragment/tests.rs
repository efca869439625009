//! Fragments reassemble to the original: etherparse judges.

use std::net::Ipv4Addr;

use etherparse::defrag::IpDefragBuf;
use etherparse::{IpFragOffset, IpNumber};
use proptest::prelude::*;

use super::*;
use crate::build;

const A: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const B: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);

fn may_fragment(packet: &[u8]) -> Vec<u8> {
    build::with_header(packet, |h| {
        (h.dont_fragment, h.identification) = (false, 0x1234);
    })
}

fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    fragments(packet, mtu)
        .unwrap()
        .map(|f| [f.header(), f.payload].concat())
        .collect()
}

fn reassemble(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut buffer = IpDefragBuf::new(IpNumber::UDP, Vec::new(), Vec::new());
    for piece in pieces {
        let header = Header::parse(piece).unwrap();
        let offset = IpFragOffset::try_new(header.fragment_offset_bytes / 8).unwrap();
        buffer
            .add(offset, header.more_fragments, header.payload(piece))
            .unwrap();
    }
    assert!(buffer.is_complete());
    buffer.data().clone()
}

#[test]
fn a_1500_byte_packet_through_1480_is_two() {
    let packet = may_fragment(&build::udp(A, B, 1, 2, &[7; 1472]));
    let pieces = cut(&packet, 1480);
    let headers: Vec<_> = pieces.iter().map(|p| Header::parse(p).unwrap()).collect();
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [1476, 44]);
    assert_eq!(
        headers
            .iter()
            .map(|h| h.fragment_offset_bytes)
            .collect::<Vec<_>>(),
        [0, 1456]
    );
    assert_eq!(
        headers.iter().map(|h| h.more_fragments).collect::<Vec<_>>(),
        [true, false]
    );
    assert!(
        headers
            .iter()
            .all(|h| h.identification == 0x1234 && !h.dont_fragment)
    );
}

#[test]
fn a_packet_that_fits_comes_back_whole_even_with_df() {
    let packet = build::udp(A, B, 1, 2, &[7; 100]);
    assert_eq!(cut(&packet, 128), [packet]);
}

#[test]
fn df_tiny_mtus_and_malformed_packets_are_refused() {
    let packet = build::udp(A, B, 1, 2, &[7; 100]);
    assert_eq!(
        fragments(&packet, 127).unwrap_err(),
        Error::DontFragment {
            total_len: 128,
            mtu: 127
        }
    );
    let packet = may_fragment(&packet);
    assert_eq!(
        fragments(&packet, 27).unwrap_err(),
        Error::Mtu {
            header_len: 20,
            mtu: 27
        }
    );
    assert_eq!(cut(&packet, 28).len(), 14);
    assert_eq!(
        fragments(&packet[..50], 28).unwrap_err(),
        Error::Ipv4(ipv4::Error::TotalLength)
    );
}

#[test]
fn only_options_marked_copied_go_into_later_fragments() {
    // Record route (7, not copied), router alert (148, copied), security (130, copied, odd length).
    let options = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 130, 3, 9, 0, 0];
    let packet = build::with_options(&may_fragment(&build::udp(A, B, 1, 2, &[7; 200])), &options);
    let pieces = cut(&packet, 100);
    assert_eq!(pieces[0][20..36], options);
    for piece in &pieces[1..] {
        assert_eq!(Header::parse(piece).unwrap().header_len, 28);
        assert_eq!(piece[20..28], [148, 4, 0, 0, 130, 3, 9, 0]);
    }
    assert_eq!(reassemble(&pieces), packet[36..]);
}

proptest! {
    #[test]
    fn fragments_reassemble_to_the_original(
        payload in prop::collection::vec(any::<u8>(), 0..3000), mtu in 68..1600_usize, again in 68..1600_usize, options in 0..=10_usize, copied: bool,
    ) {
        let option = if copied { [148, 4, 0, 0] } else { [68, 4, 5, 0] };
        let packet = may_fragment(&build::udp(A, B, 1, 2, &payload));
        let packet = build::with_options(&packet, &option.repeat(options));
        let pieces = cut(&packet, mtu);
        prop_assert!(pieces.iter().all(|piece| piece.len() <= mtu));
        let original = &packet[20 + options * 4..];
        prop_assert_eq!(reassemble(&pieces), original);
        // Fragments of fragments, in the wrong order.
        let mut smaller: Vec<_> = pieces.iter().flat_map(|piece| cut(piece, again)).collect();
        smaller.reverse();
        prop_assert_eq!(reassemble(&smaller), original);
    }

    #[test]
    fn no_bytes_make_the_cut_panic(mut bytes in prop::collection::vec(any::<u8>(), 20..200), mtu in 0..100_usize) {
        bytes[0] = 0x40 | bytes[0] & 0xf;
        ipv4::fill_checksum(&mut bytes);
        if let Ok(fragments) = fragments(&bytes, mtu) {
            prop_assert!(fragments.count() <= 200);
        }
    }
}
