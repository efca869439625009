//! Frames and packets for tests and for `vswitchctl trace`, every checksum right. Allocates freely.
//!
//! Packets have TTL 64, DF, identification 0 and tos 0; [`with_header`] makes others.

use std::net::Ipv4Addr;

use crate::arp::{Operation, Packet};
use crate::offload::{Checksum, Gso, GsoKind};
use crate::transport::{TcpFlags, TcpHeader, UdpHeader};
use crate::{EtherType, Frame, MacAddr, Offload, Protocol, checksum, ethernet, icmpv4, ipv4};

/// An IPv4 packet around any payload, whose own checksum is filled in when its protocol is known.
pub fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let header = ipv4::Header {
        src,
        dst,
        protocol,
        ttl: 64,
        tos: 0,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset_bytes: 0,
        header_len: ipv4::HEADER_LEN,
        total_len: ipv4::HEADER_LEN + payload.len(),
    };
    let mut packet = [&header.emit(), payload].concat();
    checksum::fill_transport(&mut packet, &header);
    packet
}

/// A UDP packet.
pub fn udp(src: Ipv4Addr, dst: Ipv4Addr, sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let length = (UdpHeader::LEN + payload.len()) as u16;
    let header = UdpHeader {
        src_port: sport,
        dst_port: dport,
        length,
        checksum: 0,
    };
    ipv4(src, dst, Protocol::UDP, &[&header.emit(), payload].concat())
}

/// A TCP packet with acknowledgment number 0 and a window of 65 535.
pub fn tcp(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    sport: u16,
    dport: u16,
    flags: TcpFlags,
    seq: u32,
    payload: &[u8],
) -> Vec<u8> {
    let header = TcpHeader {
        src_port: sport,
        dst_port: dport,
        seq,
        ack: 0,
        flags,
        header_len: TcpHeader::LEN,
        window: u16::MAX,
    };
    ipv4(src, dst, Protocol::TCP, &[&header.emit(), payload].concat())
}

/// An SCTP packet with one chunk of this type and value (padded to four bytes).
pub fn sctp(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    sport: u16,
    dport: u16,
    tag: u32,
    chunk: (u8, &[u8]),
) -> Vec<u8> {
    let (kind, value) = chunk;
    let mut bytes = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
    bytes.extend(tag.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend([kind, 0]);
    bytes.extend(((4 + value.len()) as u16).to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    ipv4(src, dst, Protocol::SCTP, &bytes)
}

/// An ICMP echo request.
pub fn icmp_echo(src: Ipv4Addr, dst: Ipv4Addr, id: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
    echo(icmpv4::ECHO, src, dst, id, seq, payload)
}

/// An ICMP echo reply.
pub fn icmp_echo_reply(src: Ipv4Addr, dst: Ipv4Addr, id: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
    echo(icmpv4::ECHO_REPLY, src, dst, id, seq, payload)
}

fn echo(kind: u8, src: Ipv4Addr, dst: Ipv4Addr, id: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
    let [[a, b], [c, d]] = [id, seq].map(u16::to_be_bytes);
    icmp(
        src,
        dst,
        icmpv4::Header {
            kind,
            code: 0,
            rest: [a, b, c, d],
        },
        payload,
    )
}

/// Any ICMP message.
pub fn icmp(src: Ipv4Addr, dst: Ipv4Addr, header: icmpv4::Header, payload: &[u8]) -> Vec<u8> {
    ipv4(
        src,
        dst,
        Protocol::ICMP,
        &[&header.emit(), payload].concat(),
    )
}

/// The ICMP error that a router at `src` sends about `packet`, to the packet's sender.
pub fn icmp_error(src: Ipv4Addr, message: icmpv4::Message, packet: &[u8]) -> Vec<u8> {
    let mut frame = Frame::from_packet(packet);
    icmpv4::make_error(&mut frame, message, src);
    frame.packet().to_vec()
}

/// A packet within an outer header: TTL 64, DF, tos of the inner packet, as [`crate::ipip::encapsulate`] pushes it.
pub fn ipip(outer_src: Ipv4Addr, outer_dst: Ipv4Addr, inner: &[u8]) -> Vec<u8> {
    let packet = ipv4(outer_src, outer_dst, Protocol::IPIP, inner);
    with_header(&packet, |header| {
        header.tos = inner.get(1).copied().unwrap_or(0);
    })
}

/// An Ethernet frame around an IPv4 packet.
pub fn ethernet(src: MacAddr, dst: MacAddr, packet: &[u8]) -> Vec<u8> {
    ethernet_of(src, dst, EtherType::IPV4, packet)
}

/// An Ethernet frame around anything.
pub fn ethernet_of(src: MacAddr, dst: MacAddr, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    [
        &ethernet::Header {
            dst,
            src,
            ethertype,
        }
        .emit(),
        payload,
    ]
    .concat()
}

/// The Ethernet frame in which a station asks everyone for the owner of an address.
pub fn arp_request(sender_mac: MacAddr, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Vec<u8> {
    let packet = Packet {
        operation: Operation::Request,
        sender_mac,
        sender_ip,
        target_mac: MacAddr::ZERO,
        target_ip,
    };
    ethernet_of(
        sender_mac,
        MacAddr::BROADCAST,
        EtherType::ARP,
        &packet.emit(),
    )
}

/// The Ethernet frame in which a station answers [`arp_request`].
pub fn arp_reply(sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    let packet = Packet {
        operation: Operation::Reply,
        sender_mac: sender.0,
        sender_ip: sender.1,
        target_mac: target.0,
        target_ip: target.1,
    };
    ethernet_of(sender.0, target.0, EtherType::ARP, &packet.emit())
}

/// The packet with its header edited, its checksum made right again. Options stay; lengths that the edit sets are written as
/// they are, so that wrong ones can be made.
///
/// # Panics
/// When the packet has no IPv4 header.
pub fn with_header(packet: &[u8], edit: impl FnOnce(&mut ipv4::Header)) -> Vec<u8> {
    let mut header = ipv4::Header::parse_quoted(packet).expect("an IPv4 header to edit");
    let first = packet[0];
    edit(&mut header);
    let mut edited = packet.to_vec();
    edited[..ipv4::HEADER_LEN].copy_from_slice(&header.emit());
    edited[0] = first;
    ipv4::fill_checksum(&mut edited);
    edited
}

/// The packet with these options (padded to four bytes) in the place of any others.
///
/// # Panics
/// When the packet has no IPv4 header or the options take more than 40 bytes.
pub fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let header = ipv4::Header::parse_quoted(packet).expect("an IPv4 header to add options to");
    let options_len = options.len().next_multiple_of(4);
    assert!(
        options_len <= ipv4::MAX_HEADER_LEN - ipv4::HEADER_LEN,
        "options of {options_len} bytes"
    );
    let mut edited = packet[..ipv4::HEADER_LEN].to_vec();
    edited.extend(options);
    edited.resize(ipv4::HEADER_LEN + options_len, 0);
    edited.extend(header.payload(packet));
    edited[0] = 0x40 | ((ipv4::HEADER_LEN + options_len) / 4) as u8;
    let total_len = edited.len() as u16;
    edited[2..4].copy_from_slice(&total_len.to_be_bytes());
    ipv4::fill_checksum(&mut edited);
    edited
}

/// A TCP or UDP packet as a super-segment of `size` payload bytes a piece, its checksum partial: what a pod's kernel sends.
/// No link header.
///
/// # Panics
/// When the packet is neither TCP nor UDP.
pub fn super_segment(packet: &[u8], size: u16) -> Frame {
    let header = ipv4::Header::parse(packet).expect("an IPv4 packet");
    let kind = match header.protocol {
        Protocol::TCP => GsoKind::Tcp4,
        Protocol::UDP => GsoKind::UdpL4,
        other => panic!("expected tcp or udp, found {other}"),
    };
    let mut frame = with_partial_checksum(packet);
    frame.offload.gso = Some(Gso {
        kind,
        size,
        ecn: false,
    });
    frame
}

/// A TCP, UDP or SCTP packet whose checksum is left to the device. No link header.
///
/// # Panics
/// When the packet has no checksum field that this crate knows.
pub fn with_partial_checksum(packet: &[u8]) -> Frame {
    let header = ipv4::Header::parse(packet).expect("an IPv4 packet");
    let (at, _) = checksum::field(header.protocol).expect("a protocol with a checksum");
    let field = header.header_len + at;
    let mut frame = Frame::from_packet(packet);
    if header.protocol == Protocol::SCTP {
        frame.packet_mut()[field..field + 4].fill(0);
    } else {
        let len = header.payload_len();
        let pseudo = checksum::pseudo_header(header.src, header.dst, header.protocol, len).folded();
        frame.packet_mut()[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
    }
    let checksum = Checksum::Partial {
        start: header.header_len as u16,
        offset: at as u16,
    };
    frame.offload = Offload {
        checksum,
        gso: None,
    };
    frame
}
