//! What the fuzz targets do with their bytes, and the replay test with every file of `tests/corpus`.
//!
//! Each function takes anything and must neither panic nor break the claim its assertions make. Header checksums, which a
//! fuzzer does not guess, are made right in a second round.

use std::net::Ipv4Addr;

use crate::bpf::{Instruction, Pieces, Program};
use crate::offload::{Checksum, VIRTIO_LEN};
use crate::segment::{MAX_HEADERS, Segments};
use crate::transport::{SctpHeader, TcpHeader, UdpHeader};
use crate::{
    EtherType, FlowKey, Frame, Offload, Protocol, Truncated, arp, checksum, coalesce, ethernet,
    flow, fragment, icmpv4, ipip, ipv4, reset,
};

/// A fuzz target: takes any bytes, panics if a claim is broken.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus folder.
pub const TARGETS: [(&str, Target); 7] = [
    ("filter", filter),
    ("frame_walk", frame_walk),
    ("ipip", ipip),
    ("segment", segment),
    ("coalesce", coalesce),
    ("fragment", fragment),
    ("offload", offload),
];

const SRC: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 6);
const DST: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 7);
/// More than any packet a device hands over.
const MAX_INPUT: usize = 60_000;

/// Runs `f` on the packet as it is and with its header checksum made right.
fn twice(packet: &[u8], f: impl Fn(&[u8])) {
    let packet = &packet[..packet.len().min(MAX_INPUT)];
    f(packet);
    let mut mended = packet.to_vec();
    ipv4::fill_checksum(&mut mended);
    f(&mended);
}

/// A filter program (a count, then eight bytes an instruction as `struct bpf_insn` has them) and the frame it is run on. It is
/// refused or it ends, and where the frame is cut in two makes no difference.
pub fn filter(bytes: &[u8]) {
    let Some((&count, rest)) = bytes.split_first() else {
        return;
    };
    let (program, frame) = rest.split_at(rest.len().min(usize::from(count) * 8));
    let instructions: Vec<Instruction> = program.as_chunks().0.iter().map(instruction).collect();
    let Ok(program) = Program::new(&instructions) else {
        return;
    };
    let cut = |at: usize| {
        let (link, packet) = frame.split_at(at.min(frame.len()));
        program.matches(Pieces { link, packet }, frame.len() as u32)
    };
    assert_eq!(cut(0), cut(14));
    assert_eq!(cut(0), cut(usize::MAX));
}

fn instruction(bytes: &[u8; 8]) -> Instruction {
    let [c0, c1, jump_true, jump_false, k @ ..] = *bytes;
    Instruction {
        code: u16::from_le_bytes([c0, c1]),
        jump_true,
        jump_false,
        k: u32::from_le_bytes(k),
    }
}

/// An Ethernet frame, read all the way up.
pub fn frame_walk(bytes: &[u8]) {
    let Ok(link) = ethernet::Header::parse(bytes) else {
        return;
    };
    let (header, packet) = bytes.split_at(ethernet::HEADER_LEN);
    assert_eq!(link.emit(), header);
    if let Ok(parsed) = arp::Packet::parse(packet) {
        assert_eq!(parsed.emit(), packet[..arp::LEN]);
    }
    if link.ethertype == EtherType::IPV4 {
        twice(packet, |packet| {
            let _ = walk_packet(packet);
            let _ = flow::fanout_hash(packet);
        });
    }
}

/// An IPv4 packet, read all the way up and answered with an error and a reset.
fn walk_packet(packet: &[u8]) -> Result<(), Truncated> {
    let Ok(header) = ipv4::Header::parse(packet) else {
        return Ok(());
    };
    assert!(header.payload(packet).len() == header.payload_len());
    let _ = ipv4::has_source_route(packet, &header);
    let _ = checksum::verify_transport(packet, &header);
    if header.ttl > 1 {
        let mut hop = packet.to_vec();
        ipv4::decrement_ttl(&mut hop);
        assert_eq!(
            ipv4::Header::parse(&hop),
            Ok(ipv4::Header {
                ttl: header.ttl - 1,
                ..header
            })
        );
    }
    let mut filled = packet.to_vec();
    checksum::fill_transport(&mut filled, &header);
    let long_enough =
        checksum::field(header.protocol).is_none_or(|(_, least)| header.payload_len() >= least);
    assert_eq!(checksum::verify_transport(&filled, &header), long_enough);
    answer(packet);
    read_transport(packet, &header)
}

/// The ICMP error about a packet is always a well-formed packet, and so is the TCP reset, if there is one.
fn answer(packet: &[u8]) {
    let mut frame = Frame::from_packet(packet);
    icmpv4::make_error(&mut frame, icmpv4::Message::TimeExceeded, SRC);
    let error = ipv4::Header::parse(frame.packet()).expect("an error is a packet");
    assert!(
        error.total_len <= icmpv4::MAX_ERROR_LEN
            && icmpv4::verify_checksum(error.payload(frame.packet()))
    );
    let mut frame = Frame::from_packet(packet);
    if let Some(answer) = reset::Reset::answering(&frame) {
        answer.replace(&mut frame);
        let header = ipv4::Header::parse(frame.packet()).expect("a reset is a packet");
        assert_eq!(header.total_len, frame.packet_len());
        assert!(checksum::verify_transport(frame.packet(), &header));
    }
}

fn read_transport(packet: &[u8], header: &ipv4::Header) -> Result<(), Truncated> {
    let payload = header.payload(packet);
    let key = FlowKey::read(packet, header)?;
    assert_eq!(key.symmetric_hash(), key.reversed().symmetric_hash());
    match header.protocol {
        Protocol::TCP => drop(TcpHeader::parse(payload)),
        Protocol::UDP => assert_eq!(UdpHeader::parse(payload)?.emit(), payload[..8]),
        Protocol::SCTP => drop(SctpHeader::parse(payload)?),
        Protocol::ICMP => {
            let icmp = icmpv4::Header::parse(payload)?;
            if let Some(Ok(quoted)) = icmp.quoted(payload).map(ipv4::Header::parse_quoted) {
                let _ = FlowKey::read(&payload[icmpv4::HEADER_LEN..], &quoted);
            }
        }
        _ => {}
    }
    Ok(())
}

/// An outer IPv4 packet, decapsulated; if that works, encapsulating and decapsulating again changes nothing.
pub fn ipip(bytes: &[u8]) {
    twice(bytes, |packet| {
        let mut mended = packet.to_vec();
        if let Ok(outer) = ipv4::Header::parse(packet) {
            decapsulate(packet, &outer);
            ipv4::fill_checksum(&mut mended[outer.header_len..]);
            decapsulate(&mended, &outer);
        }
    });
}

fn decapsulate(packet: &[u8], outer: &ipv4::Header) {
    let mut frame = Frame::from_packet(packet);
    let Ok(header) = ipip::decapsulate(&mut frame, outer) else {
        assert_eq!(frame.packet(), packet);
        return;
    };
    let inner = frame.clone();
    assert_eq!(ipv4::Header::parse(inner.packet()), Ok(header));
    assert_eq!(header.total_len, inner.packet_len());
    ipip::encapsulate(
        &mut frame,
        ipip::Outer {
            src: SRC,
            dst: DST,
            identification: 7,
        },
    );
    let outer = ipv4::Header::parse(frame.packet()).expect("an outer header parses");
    assert_eq!(
        (outer.tos, outer.total_len),
        (header.tos, header.total_len + ipip::OVERHEAD)
    );
    ipip::decapsulate(&mut frame, &outer).expect("what was encapsulated decapsulates");
    assert_eq!(frame, inner);
}

/// A frame of ten virtio-net bytes, one byte whose last bit says Ethernet, then link header and packet.
fn read_frame(bytes: &[u8]) -> Option<Frame> {
    let (virtio, rest) = bytes.split_first_chunk::<VIRTIO_LEN>()?;
    let (&[link], rest) = rest.split_first_chunk()?;
    let link_len = if link & 1 == 0 {
        0
    } else {
        ethernet::HEADER_LEN
    };
    let offload = Offload::from_virtio(virtio, link_len).ok()?;
    let rest = &rest[..rest.len().min(MAX_INPUT)];
    let mut frame = Frame::new();
    frame.rx_buffer(link_len)[..rest.len()].copy_from_slice(rest);
    frame.received(link_len, rest.len(), offload);
    ipv4::fill_checksum(frame.packet_mut());
    Some(frame)
}

/// A super-segment, cut plain and within IPIP: the pieces are well formed and their payloads join to the frame's.
pub fn segment(bytes: &[u8]) {
    let Some(mut frame) = read_frame(bytes) else {
        return;
    };
    cut(&frame);
    ipip::encapsulate(
        &mut frame,
        ipip::Outer {
            src: SRC,
            dst: DST,
            identification: 0xfffe,
        },
    );
    cut(&frame);
}

fn cut(frame: &Frame) {
    let Ok(mut segments) = Segments::of(frame) else {
        return;
    };
    let mut headers = [0; MAX_HEADERS];
    let mut at = None;
    while let Some(segment) = segments.next(&mut headers) {
        let from = *at.get_or_insert(segment.headers_len);
        assert_eq!(
            segment.payload,
            &frame.bytes()[from..from + segment.payload.len()]
        );
        at = Some(from + segment.payload.len());
        let link_len = frame.link().len();
        let piece = [&headers[link_len..segment.headers_len], segment.payload].concat();
        let header = ipv4::Header::parse(&piece).expect("a segment parses");
        assert_eq!(header.total_len, piece.len());
        let mut piece = Frame::from_packet(&piece);
        piece.offload = segment.offload;
        piece.finish_checksum();
        let (mut packet, mut header) = (piece.packet(), header);
        if header.protocol == Protocol::IPIP {
            packet = header.payload(packet);
            header = ipv4::Header::parse(packet).expect("the inner packet of a segment parses");
        }
        assert!(checksum::verify_transport(packet, &header));
    }
}

/// The length of a frame in two bytes, that frame (see [`read_frame`]), then another, appended to it: what was joined cuts
/// back to what went in. Complete TCP checksums are made right in a second round.
pub fn coalesce(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let Some((head, next)) = rest.split_at_checked(u16::from_be_bytes(*len).into()) else {
        return;
    };
    let (Some(mut head), Some(mut next)) = (read_frame(head), read_frame(next)) else {
        return;
    };
    join(&head, &next);
    for frame in [&mut head, &mut next] {
        let header = ipv4::Header::parse(frame.packet());
        if let (Ok(header), Checksum::None) = (header, frame.offload.checksum) {
            checksum::fill_transport(frame.packet_mut(), &header);
        }
    }
    join(&head, &next);
}

fn join(first: &Frame, next: &Frame) {
    let _ = coalesce::Kind::of(next);
    let mut head = first.clone();
    if coalesce::append(&mut head, next).is_err() {
        return assert_eq!(&head, first, "a refusal changes nothing");
    }
    assert!(coalesce::can_grow(first) && head.bytes().len() <= coalesce::MAX_FRAME);
    let header = ipv4::Header::parse(head.packet()).expect("a joined frame parses");
    head.check_offload(&header)
        .expect("a joined frame's offload is its own");
    assert_eq!(pieces(&head), [pieces(first), pieces(next)].concat());
}

/// The segments a frame stands for, their checksums finished.
fn pieces(frame: &Frame) -> Vec<Vec<u8>> {
    let mut frame = frame.clone();
    let Ok(mut segments) = Segments::of(&frame) else {
        frame.finish_checksum();
        return vec![frame.bytes().to_vec()];
    };
    let mut headers = [0; MAX_HEADERS];
    let mut pieces = Vec::new();
    while let Some(segment) = segments.next(&mut headers) {
        let link_len = frame.link().len();
        let packet = [&headers[link_len..segment.headers_len], segment.payload].concat();
        let mut piece = Frame::from_packet(&packet);
        piece.offload = segment.offload;
        piece.finish_checksum();
        pieces.push([frame.link(), piece.packet()].concat());
    }
    pieces
}

/// An MTU in two bytes, then a packet: its fragments fit the MTU and join to its payload.
pub fn fragment(bytes: &[u8]) {
    let Some((mtu, packet)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let mtu = usize::from(u16::from_be_bytes(*mtu));
    twice(packet, |packet| {
        let Ok(fragments) = fragment::fragments(packet, mtu) else {
            return;
        };
        let whole = ipv4::Header::parse(packet).expect("what is cut has parsed");
        let mut joined = Vec::<u8>::new();
        for fragment in fragments {
            let bytes = [fragment.header(), fragment.payload].concat();
            let header = ipv4::Header::parse(&bytes).expect("a fragment parses");
            assert!(bytes.len() <= mtu && header.total_len == bytes.len());
            joined.extend(fragment.payload);
            let last = joined.len() == whole.payload_len();
            assert_eq!(header.more_fragments, whole.more_fragments || !last);
        }
        assert_eq!(joined, whole.payload(packet));
    });
}

/// A frame with any virtio-net header: if the check lets it pass, completing its checksum changes nothing the switch judged.
pub fn offload(bytes: &[u8]) {
    let Some(mut frame) = read_frame(bytes) else {
        return;
    };
    let link_len = frame.link().len();
    let wire = frame.wire_packet_len();
    assert!(wire <= frame.packet_len());
    if let Ok(again) = Offload::from_virtio(&frame.virtio_header(), link_len) {
        assert_eq!(again, frame.offload);
    }
    let before = frame.packet().to_vec();
    let Ok(header) = ipv4::Header::parse(&before) else {
        return frame.finish_checksum();
    };
    let safe = frame.check_offload(&header).is_ok();
    frame.finish_checksum();
    assert_eq!(frame.packet_len(), before.len());
    if safe && frame.offload != Offload::default() {
        assert_judged_bytes_equal(&before, frame.packet(), &header);
    }
}

/// IP header and L4 header are equal but for the checksum.
fn assert_judged_bytes_equal(before: &[u8], after: &[u8], header: &ipv4::Header) {
    let l4 = header.header_len;
    assert_eq!(before[..l4], after[..l4]);
    if let Some((at, least)) = checksum::field(header.protocol) {
        let width = if header.protocol == Protocol::SCTP {
            4
        } else {
            2
        };
        let end = before.len().min(l4 + least);
        let differs = |i: usize| before[i] != after[i] && !(l4 + at..l4 + at + width).contains(&i);
        assert_eq!((l4..end).find(|i| differs(*i)), None);
    }
}
