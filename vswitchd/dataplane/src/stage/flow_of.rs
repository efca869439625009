//! Which flow a packet belongs to.

use std::net::Ipv4Addr;

use packet::flow::{FlowKey, symmetric_hash};
use packet::transport::{self, TcpFlags};
use packet::{Protocol, icmpv4, ipv4};

use crate::conntrack::Transport;
use crate::drop_reason::DropReason;
use crate::ids::WorkerId;
use crate::local::Local;
use crate::time::Time;

/// A packet's flow, as conntrack and policy see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FlowOf {
    /// Conntrack's key. For ICMP queries the identifier is the port of the
    /// asking end and the query's type that of the answering end, so that a
    /// query the other way is another flow.
    pub(crate) key: FlowKey,
    /// What the packet means to the flow's state.
    pub(crate) transport: Transport,
    /// The packet is an ICMP error about the flow (which goes the other way).
    pub(crate) is_error: bool,
    /// May begin a flow: not a later fragment, not an ICMP answer.
    pub(crate) may_begin: bool,
    /// ICMP type and code, for policy.
    pub(crate) icmp: Option<(u8, u8)>,
    /// The hash that says which worker owns the flow; equal to what the
    /// kernel's fan-out computes for its unfragmented packets.
    pub(crate) hash: u32,
}

impl FlowOf {
    /// See [`crate::Arrived::owner`].
    #[inline(always)]
    pub(crate) fn owner(&self, workers: u16) -> WorkerId {
        WorkerId((self.hash % u32::from(workers)) as u16)
    }
}

/// The flow of an unfragmented TCP or UDP packet with a whole header, which is
/// what most are, and without options. There may be padding behind it.
#[inline(always)]
pub(crate) fn plain(packet: &[u8], header: &ipv4::Header) -> Option<FlowOf> {
    match header.is_fragment() || header.has_options() {
        true => None,
        false => with_ports(packet, header),
    }
}

/// The key a packet has if it is plain, be it in a tunnel or not: a guess, as
/// nothing about the packet is verified.
#[inline(always)]
pub(crate) fn guess(packet: &[u8]) -> Option<FlowKey> {
    let is_tunneled = Protocol(*packet.get(9)?) == Protocol::IPIP;
    let start = if is_tunneled { ipv4::HEADER_LEN } else { 0 };
    let bytes: &[u8; ipv4::HEADER_LEN + 4] = packet.get(start..)?.first_chunk()?;
    let (words, _) = bytes.as_chunks::<4>();
    let [a, b, c, d] = words[5];
    let ports = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Some(key(
        words[3].into(),
        words[4].into(),
        ports,
        Protocol(bytes[9]),
    ))
}

/// Reads the flow of an IPv4 packet that has been cut to its length.
pub(crate) fn read(
    local: &mut Local,
    now: Time,
    packet: &[u8],
    header: &ipv4::Header,
) -> Result<FlowOf, DropReason> {
    if !header.is_fragment() {
        return of_packet(packet, header);
    }
    // Cut once more, such a fragment's offset would wrap to 0: a packet nobody judged.
    if usize::from(header.fragment_offset_bytes) + header.total_len > usize::from(u16::MAX) {
        return Err(DropReason::Ipv4Malformed);
    }
    if header.fragment_offset_bytes == 0 {
        let flow = of_packet(packet, header).map_err(|_| DropReason::FragmentTiny)?;
        local.fragments.remember(header, flow.key, now);
        return Ok(flow);
    }
    if header.protocol == Protocol::TCP
        && header.fragment_offset_bytes < transport::TcpHeader::LEN as u16
    {
        return Err(DropReason::FragmentTiny);
    }
    let key = local
        .fragments
        .flow_of(header, now)
        .ok_or(DropReason::FragmentWithoutFirst)?;
    let transport = match header.protocol {
        Protocol::TCP => Transport::Tcp(TcpFlags::ACK),
        Protocol::UDP => Transport::Udp,
        Protocol::ICMP => Transport::Icmp,
        _ => Transport::Other,
    };
    Ok(FlowOf {
        key,
        transport,
        is_error: false,
        may_begin: false,
        icmp: None,
        hash: hash(&key),
    })
}

fn of_packet(packet: &[u8], header: &ipv4::Header) -> Result<FlowOf, DropReason> {
    let payload = header.payload(packet);
    let ports = match header.protocol {
        Protocol::TCP | Protocol::UDP => {
            return with_ports(packet, header).ok_or(DropReason::Truncated);
        }
        Protocol::ICMP => return of_icmp(payload, header),
        Protocol::SCTP => {
            let sctp = transport::SctpHeader::parse(payload).map_err(|_| DropReason::Truncated)?;
            (sctp.src_port, sctp.dst_port)
        }
        _ => (0, 0),
    };
    let key = key(header.src, header.dst, ports, header.protocol);
    Ok(FlowOf {
        key,
        transport: Transport::Other,
        is_error: false,
        may_begin: true,
        icmp: None,
        hash: hash(&key),
    })
}

/// The flow of a TCP or UDP packet whose transport header is all there.
#[inline(always)]
fn with_ports(packet: &[u8], header: &ipv4::Header) -> Option<FlowOf> {
    let payload = packet.get(header.header_len..header.total_len)?;
    let (ports, transport) = match header.protocol {
        Protocol::TCP => {
            let tcp = transport::TcpHeader::parse(payload).ok()?;
            ((tcp.src_port, tcp.dst_port), Transport::Tcp(tcp.flags))
        }
        Protocol::UDP => {
            let udp = transport::UdpHeader::parse(payload).ok()?;
            ((udp.src_port, udp.dst_port), Transport::Udp)
        }
        _ => return None,
    };
    let key = key(header.src, header.dst, ports, header.protocol);
    Some(FlowOf {
        key,
        transport,
        is_error: false,
        may_begin: true,
        icmp: None,
        hash: key.symmetric_hash(),
    })
}

fn of_icmp(payload: &[u8], header: &ipv4::Header) -> Result<FlowOf, DropReason> {
    let icmp = icmpv4::Header::parse(payload).map_err(|_| DropReason::Truncated)?;
    if let Some(quoted) = icmp.quoted(payload) {
        let key = of_quoted(quoted).ok_or(DropReason::IcmpUnrelated)?;
        return Ok(FlowOf {
            key,
            transport: Transport::Icmp,
            is_error: true,
            may_begin: false,
            icmp: Some((icmp.kind, icmp.code)),
            hash: hash(&key),
        });
    }
    let (ports, asks) = query_ports(&icmp);
    let key = key(header.src, header.dst, ports, Protocol::ICMP);
    Ok(FlowOf {
        key,
        transport: Transport::Icmp,
        is_error: false,
        may_begin: asks,
        icmp: Some((icmp.kind, icmp.code)),
        hash: hash(&key),
    })
}

/// The flow of the packet an ICMP error quotes: at least its header and eight
/// bytes more (RFC 792).
fn of_quoted(quoted: &[u8]) -> Option<FlowKey> {
    let header = ipv4::Header::parse_quoted(quoted).ok()?;
    if header.fragment_offset_bytes != 0 {
        return None;
    }
    let payload = header.payload(quoted);
    let ports = match header.protocol {
        Protocol::ICMP => query_ports(&icmpv4::Header::parse(payload).ok()?).0,
        protocol if protocol.has_ports() => {
            let ports = transport::ports(protocol, payload)?;
            (ports.src, ports.dst)
        }
        _ => (0, 0),
    };
    Some(key(header.src, header.dst, ports, header.protocol))
}

/// The stand-in for ports of an ICMP query or answer, and whether it asks.
/// Types: RFC 792 (echo, timestamp, information), RFC 950 (address mask).
fn query_ports(icmp: &icmpv4::Header) -> ((u16, u16), bool) {
    let id = u16::from_be_bytes([icmp.rest[0], icmp.rest[1]]);
    match icmp.kind {
        icmpv4::ECHO | icmpv4::TIMESTAMP | 15 | 17 => ((id, icmp.kind.into()), true),
        icmpv4::ECHO_REPLY => ((icmpv4::ECHO.into(), id), false),
        icmpv4::TIMESTAMP_REPLY | 16 | 18 => ((u16::from(icmp.kind) - 1, id), false),
        other => ((other.into(), 0), false),
    }
}

fn key(src: Ipv4Addr, dst: Ipv4Addr, ports: (u16, u16), protocol: Protocol) -> FlowKey {
    FlowKey {
        src,
        dst,
        src_port: ports.0,
        dst_port: ports.1,
        protocol,
    }
}

fn hash(key: &FlowKey) -> u32 {
    let ports = if key.protocol.has_ports() {
        key.src_port ^ key.dst_port
    } else {
        0
    };
    symmetric_hash(key.src.to_bits(), key.dst.to_bits(), ports.into())
}
