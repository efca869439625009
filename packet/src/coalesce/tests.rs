//! Joining segments: what was joined is what cutting gives back, and what must not be joined is not.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::build;
use crate::segment::{MAX_HEADERS, Segments};

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);
const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const LINK: [u8; 14] = *b"\x02\0\0\0\0\x07\xee\xee\xee\xee\xee\xee\x08\0";
const PSH: TcpFlags = TcpFlags(0x18);
/// No-operations and a timestamp (RFC 7323).
const OPTIONS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9];

/// A packet with a timestamp option, every checksum right.
fn packet(seq: u32, id: u16, flags: TcpFlags, payload: &[u8]) -> Vec<u8> {
    let packet = build::tcp(
        SENDER,
        POD,
        40_000,
        80,
        flags,
        seq,
        &[&OPTIONS, payload].concat(),
    );
    edited(
        &build::with_header(&packet, |ip| ip.identification = id),
        |tcp| tcp[12] = 0x80,
    )
}

/// The packet with its TCP header edited, the checksum made right again.
fn edited(packet: &[u8], edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut packet = packet.to_vec();
    edit(&mut packet[L4..]);
    let header = ipv4::Header::parse(&packet).unwrap();
    checksum::fill_transport(&mut packet, &header);
    packet
}

fn framed(packet: &[u8]) -> Frame {
    Frame::from_ethernet(&[&LINK, packet].concat())
}

/// Segments of 1000 bytes in their order, from a sequence number that wraps.
fn segment(number: u32) -> Vec<u8> {
    let seq = (u32::MAX - 1500).wrapping_add(number * 1000);
    let id = 0xfffe_u16.wrapping_add(number as u16);
    packet(seq, id, TcpFlags::ACK, &[number as u8; 1000])
}

fn frame(number: u32) -> Frame {
    framed(&segment(number))
}

/// As a kernel hands it over that left the checksum to a device.
fn partial_frame(packet: &[u8]) -> Frame {
    let mut frame = build::with_partial_checksum(packet);
    frame.set_link(&LINK);
    frame
}

/// The segments a frame stands for, checksums finished.
fn cut(frame: &Frame) -> Vec<Vec<u8>> {
    let mut headers = [0; MAX_HEADERS];
    let Ok(mut segments) = Segments::of(frame) else {
        let mut frame = frame.clone();
        frame.finish_checksum();
        return vec![frame.bytes().to_vec()];
    };
    std::iter::from_fn(|| {
        let segment = segments.next(&mut headers)?;
        let bytes = [&headers[..segment.headers_len], segment.payload].concat();
        let mut piece = Frame::from_ethernet(&bytes);
        piece.offload = segment.offload;
        piece.finish_checksum();
        Some(piece.bytes().to_vec())
    })
    .collect()
}

/// What becomes of the second packet behind segment 0.
fn after_first(next: &Frame) -> Result<(), Refusal> {
    let mut head = frame(0);
    let result = append(&mut head, next);
    if result.is_err() {
        assert_eq!(head, frame(0), "a refusal changes nothing");
    }
    result
}

#[test]
fn segments_become_one_frame_with_a_partial_checksum_that_cuts_back_to_them() {
    let mut head = frame(0);
    for number in 1..10 {
        append(&mut head, &frame(number)).unwrap();
    }
    let last = packet((u32::MAX - 1500).wrapping_add(10_000), 8, PSH, b"the end");
    append(&mut head, &framed(&last)).unwrap();
    assert_eq!(head.packet_len(), 20 + 32 + 10_007);
    assert_eq!(head.offload.checksum, partial());
    let gso = head.offload.gso.unwrap();
    assert_eq!((gso.kind, gso.size, gso.ecn), (GsoKind::Tcp4, 1000, false));
    let header = ipv4::Header::parse(head.packet()).unwrap();
    assert_eq!(header.total_len, head.packet_len());
    head.check_offload(&header).unwrap();
    let mut sent: Vec<_> = (0..10).map(|n| frame(n).bytes().to_vec()).collect();
    sent.push(framed(&last).bytes().to_vec());
    assert_eq!(cut(&head), sent);
}

#[test]
fn push_and_a_short_segment_end_a_frame() {
    for end in [
        packet(1000, 1, PSH, &[1; 1000]),
        packet(1000, 1, TcpFlags::ACK, &[1; 999]),
    ] {
        let mut head = framed(&packet(0, 0, TcpFlags::ACK, &[0; 1000]));
        append(&mut head, &framed(&end)).unwrap();
        assert!(!can_grow(&head));
        let len = end.len() as u32 - 52;
        let next = framed(&packet(1000 + len, 2, TcpFlags::ACK, &[2; 1000]));
        assert_eq!(append(&mut head, &next), Err(Refusal::Finished));
    }
    let mut pushed = framed(&packet(0, 0, PSH, &[0; 1000]));
    let next = framed(&packet(1000, 1, TcpFlags::ACK, &[0; 1000]));
    assert_eq!(append(&mut pushed, &next), Err(Refusal::Finished));
}

#[test]
fn every_field_that_segments_share_must_be_equal() {
    let other = |edit: fn(&mut ipv4::Header)| framed(&build::with_header(&segment(1), edit));
    let tcp = |edit: fn(&mut [u8])| framed(&edited(&segment(1), edit));
    let cases = [
        ("ttl", other(|ip| ip.ttl = 63), Refusal::Headers),
        ("ecn", other(|ip| ip.tos = 3), Refusal::Headers),
        (
            "may be fragmented",
            other(|ip| ip.dont_fragment = false),
            Refusal::NotAtomic,
        ),
        (
            "fragment",
            other(|ip| ip.more_fragments = true),
            Refusal::NotAtomic,
        ),
        (
            "fixed id",
            other(|ip| ip.identification = 0xfffe),
            Refusal::Gap,
        ),
        ("other source port", tcp(|b| b[1] ^= 1), Refusal::Headers),
        (
            "other destination port",
            tcp(|b| b[3] ^= 1),
            Refusal::Headers,
        ),
        ("other acknowledgment", tcp(|b| b[11] = 1), Refusal::Headers),
        ("other window", tcp(|b| b[15] = 1), Refusal::Headers),
        ("other urgent pointer", tcp(|b| b[19] = 1), Refusal::Headers),
        ("other timestamp", tcp(|b| b[27] = 8), Refusal::Headers),
        ("fewer options", tcp(|b| b[12] = 0x70), Refusal::Headers),
        ("reserved bit", tcp(|b| b[12] |= 1), Refusal::Flags),
        ("sequence number", tcp(|b| b[7] ^= 1), Refusal::Gap),
        ("the same once more", frame(0), Refusal::Gap),
        ("one after the next", frame(2), Refusal::Gap),
    ];
    for (what, next, refusal) in cases {
        assert_eq!(after_first(&next), Err(refusal), "{what}");
    }
    let mut elsewhere = frame(1);
    elsewhere.set_link(&[7; 14]);
    assert_eq!(after_first(&elsewhere), Err(Refusal::Headers));
    assert_eq!(after_first(&frame(1)), Ok(()));
}

#[test]
fn no_flag_but_ack_and_push_is_joined_at_either_place() {
    for flags in 0..=u8::MAX {
        let flagged = |number| framed(&edited(&segment(number), |tcp| tcp[13] = flags));
        let may = flags & !8 == 0x10;
        assert_eq!(after_first(&flagged(1)).is_ok(), may, "{flags:#x}");
        let mut head = flagged(0);
        assert_eq!(
            append(&mut head, &frame(1)).is_ok(),
            flags == 0x10,
            "{flags:#x}"
        );
        assert_eq!(can_grow(&flagged(0)), flags == 0x10);
    }
}

#[test]
fn a_wrong_checksum_of_either_is_neither_joined_nor_mended() {
    for at in [10, L4 + CHECKSUM, L4 + 60, L4 + 1031] {
        let mut damaged = segment(1);
        damaged[at] ^= 0x40;
        assert_eq!(
            after_first(&framed(&damaged)),
            Err(Refusal::Checksum),
            "byte {at}"
        );
        let mut head = segment(0);
        head[at] ^= 0x40;
        let mut head = framed(&head);
        let before = head.clone();
        assert_eq!(
            append(&mut head, &frame(1)),
            Err(Refusal::Checksum),
            "byte {at}"
        );
        assert_eq!(head, before);
    }
}

#[test]
fn a_device_that_says_it_has_verified_a_checksum_is_not_believed() {
    let mut damaged = segment(1);
    damaged[L4 + 100] ^= 1;
    let mut damaged = framed(&damaged);
    damaged.offload.checksum = Checksum::Valid;
    assert_eq!(after_first(&damaged), Err(Refusal::Checksum));
    let mut right = frame(1);
    right.offload.checksum = Checksum::Valid;
    assert_eq!(after_first(&right), Ok(()));
}

#[test]
fn partial_checksums_are_joined_without_a_look_at_the_payload() {
    let mut head = partial_frame(&segment(0));
    append(&mut head, &partial_frame(&segment(1))).unwrap();
    append(&mut head, &frame(2)).unwrap();
    let sent: Vec<_> = (0..3).map(|n| frame(n).bytes().to_vec()).collect();
    assert_eq!(cut(&head), sent);
    let mut forged = partial_frame(&segment(1));
    forged.packet_mut()[L4 + CHECKSUM] ^= 1;
    assert_eq!(
        after_first(&forged),
        Err(Refusal::Checksum),
        "would be mended"
    );
    let mut elsewhere = partial_frame(&segment(1));
    elsewhere.offload.checksum = Checksum::Partial {
        start: 52,
        offset: 16,
    };
    assert_eq!(
        after_first(&elsewhere),
        Err(Refusal::Offload),
        "a tunnel of its own"
    );
}

#[test]
fn a_zero_written_as_all_ones_is_left_alone() {
    // The payload's first word is chosen so that everything else sums to all ones.
    let zero = |number: u32| {
        edited(&segment(number), |tcp| {
            let sum = u16::from_be_bytes([tcp[CHECKSUM], tcp[CHECKSUM + 1]]);
            let word = u16::from_be_bytes([tcp[32], tcp[33]]);
            let word = Sum::ZERO.word(word).word(sum).folded();
            tcp[32..34].copy_from_slice(&word.to_be_bytes());
        })
    };
    let mut next = zero(1);
    assert_eq!(next[L4 + CHECKSUM..L4 + CHECKSUM + 2], [0, 0]);
    assert_eq!(after_first(&framed(&next)), Ok(()));
    next[L4 + CHECKSUM..L4 + CHECKSUM + 2].fill(0xff);
    let header = ipv4::Header::parse(&next).unwrap();
    assert!(checksum::verify_transport(&next, &header));
    assert_eq!(after_first(&framed(&next)), Err(Refusal::Checksum));
}

#[test]
fn segments_larger_than_the_first_are_not_joined_nor_tiny_ones_grown() {
    let first = framed(&packet(0, 0, TcpFlags::ACK, &[0; 1000]));
    let larger = framed(&packet(1000, 1, TcpFlags::ACK, &[0; 1001]));
    assert_eq!(append(&mut first.clone(), &larger), Err(Refusal::Size));
    let tiny = |len: usize| framed(&packet(0, 0, TcpFlags::ACK, &vec![0; len]));
    let next = |len: usize| framed(&packet(len as u32, 1, TcpFlags::ACK, b"x"));
    assert_eq!(append(&mut tiny(63), &next(63)), Err(Refusal::Size));
    assert_eq!(append(&mut tiny(64), &next(64)), Ok(()));
    assert!(!can_grow(&tiny(63)) && can_grow(&tiny(64)));
}

#[test]
fn a_frame_grows_to_what_a_kernel_takes_whole_and_no_further() {
    let mut head = framed(&packet(0, 0, TcpFlags::ACK, &[0; 1000]));
    let mut joined = 1;
    let refusal = loop {
        let next = packet(joined * 1000, joined as u16, TcpFlags::ACK, &[0; 1000]);
        match append(&mut head, &framed(&next)) {
            Ok(()) => joined += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refusal, joined), (Refusal::Full, 65));
    let room = MAX_FRAME - head.bytes().len();
    let last = |len: usize| framed(&packet(65_000, 65, TcpFlags::ACK, &vec![0; len]));
    assert_eq!(
        append(&mut head.clone(), &last(room + 1)),
        Err(Refusal::Full)
    );
    append(&mut head, &last(room)).unwrap();
    assert_eq!(head.bytes().len(), MAX_FRAME);
    assert_eq!(cut(&head).len(), 66);
}

#[test]
fn super_segments_of_one_size_are_joined() {
    let of = |seq, id, len: usize, size| {
        let mut frame = build::super_segment(&packet(seq, id, TcpFlags::ACK, &vec![3; len]), size);
        frame.set_link(&LINK);
        frame
    };
    let mut head = of(0, 7, 3000, 1000);
    append(&mut head, &of(3000, 10, 2500, 1000)).unwrap();
    assert_eq!(head, of(0, 7, 5500, 1000));
    for (what, next, refusal) in [
        ("other size", of(3000, 10, 1000, 500), Refusal::Size),
        ("other count", of(3000, 9, 2000, 1000), Refusal::Gap),
        (
            "too long to copy",
            of(3000, 10, 17_000, 1000),
            Refusal::Size,
        ),
    ] {
        assert_eq!(
            append(&mut of(0, 7, 3000, 1000), &next),
            Err(refusal),
            "{what}"
        );
    }
    let mut complete = of(3000, 10, 2000, 1000);
    complete.offload.checksum = Checksum::Valid;
    assert_eq!(
        append(&mut of(0, 7, 3000, 1000), &complete),
        Err(Refusal::Offload)
    );
}

#[test]
fn other_packets_are_told_by_their_shape() {
    let udp = build::udp(SENDER, POD, 40_000, 80, &[0; 1000]);
    let ack = packet(0, 0, TcpFlags::ACK, b"");
    let options = build::with_options(&segment(1), &[1, 1, 1, 1]);
    let padded = [&segment(1)[..], &[0; 6]].concat();
    for other in [udp, ack, options, padded, vec![], segment(1)[..39].to_vec()] {
        assert_eq!(after_first(&framed(&other)), Err(Refusal::Shape));
    }
}

#[test]
fn a_kind_says_what_may_not_be_overtaken() {
    let of = |packet: &[u8]| Kind::of(&framed(packet));
    let Kind::Tcp(connection) = of(&segment(1)) else {
        panic!("a segment is of a connection");
    };
    assert_eq!(of(&packet(9, 9, TcpFlags(2), b"")), Kind::Tcp(connection));
    assert_eq!(of(&segment(1)[..24]), Kind::Tcp(connection));
    let back = build::tcp(POD, SENDER, 80, 40_000, TcpFlags::ACK, 0, b"");
    assert!(matches!(of(&back), Kind::Tcp(other) if other != connection));
    assert_eq!(
        of(&build::with_options(&segment(1), &[1; 4])),
        Kind::Unclear
    );
    let fragment = build::with_header(&segment(1), |ip| ip.fragment_offset_bytes = 8);
    assert_eq!(of(&fragment), Kind::Unclear);
    assert_eq!(of(&segment(1)[..23]), Kind::Unclear);
    assert_eq!(of(&build::udp(SENDER, POD, 40_000, 80, b"")), Kind::Other);
    assert_eq!(of(b""), Kind::Other);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cutting what `append` made gives back every segment, joined or not, in order, whatever the sizes.
    #[test]
    fn cutting_gives_back_what_was_joined(
        size in 64_usize..1500,
        lens in proptest::collection::vec(1_usize..1500, 0..40),
        full in 0_u8..4,
        seq: u32,
        id: u16,
        seed: u8,
    ) {
        let mut sent = Vec::new();
        let mut out: Vec<Frame> = Vec::new();
        let (mut seq, mut id) = (seq, id);
        for (at, len) in [size].into_iter().chain(lens).enumerate() {
            // Three of four are full, or hardly anything would be joined.
            let len = if at as u8 % 4 < full { size } else { len };
            let payload: Vec<u8> = (0..len).map(|n| (n as u8).wrapping_mul(seed)).collect();
            let flags = if at % 11 == 10 { PSH } else { TcpFlags::ACK };
            let bytes = packet(seq, id, flags, &payload);
            (seq, id) = (seq.wrapping_add(len as u32), id.wrapping_add(1));
            let next = if seed & 1 == 0 { framed(&bytes) } else { partial_frame(&bytes) };
            sent.push(framed(&bytes).bytes().to_vec());
            if out.last_mut().is_none_or(|head| append(head, &next).is_err()) {
                out.push(next);
            }
        }
        let again: Vec<Vec<u8>> = out.iter().flat_map(cut).collect();
        prop_assert_eq!(again, sent);
    }

    /// Joining what `segment` cut gives back the super-segment, its offload included.
    #[test]
    fn joining_gives_back_what_was_cut(
        payload in proptest::collection::vec(any::<u8>(), 65..20_000),
        size in 64_u16..2000,
        push: bool,
        seq: u32,
        id: u16,
        finished: bool,
    ) {
        prop_assume!(payload.len() > usize::from(size));
        let flags = if push { PSH } else { TcpFlags::ACK };
        let mut whole = build::super_segment(&packet(seq, id, flags, &payload), size);
        whole.set_link(&LINK);
        let mut headers = [0; MAX_HEADERS];
        let mut segments = Segments::of(&whole).unwrap();
        let mut head: Option<Frame> = None;
        while let Some(segment) = segments.next(&mut headers) {
            let bytes = [&headers[..segment.headers_len], segment.payload].concat();
            let mut piece = Frame::from_ethernet(&bytes);
            piece.offload = segment.offload;
            if finished {
                piece.finish_checksum();
            }
            match &mut head {
                None => head = Some(piece),
                Some(head) => append(head, &piece).unwrap(),
            }
        }
        prop_assert_eq!(head.unwrap(), whole);
    }
}
