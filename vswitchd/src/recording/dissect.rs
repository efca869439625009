//! What a line says of a packet's bytes, of which the end may be missing.

use std::net::Ipv4Addr;

use packet::arp::{self, Operation};
use packet::transport::{TcpFlags, ports};
use packet::{EtherType, Protocol, ethernet, icmpv4, ipv4};

/// IP headers inside one another that are read: two are usual, and a packet has room for thousands.
const DEPTH: usize = 4;

/// The innermost packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dissected {
    /// Source and destination.
    pub(crate) ends: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Their transport ports.
    pub(crate) ports: Option<(u16, u16)>,
    /// The outer addresses, where it is in IPIP.
    pub(crate) tunnel: Option<(Ipv4Addr, Ipv4Addr)>,
    /// The protocol and what it says.
    pub(crate) says: String,
}

/// Reads what there is.
pub(crate) fn dissect(link: &[u8], packet: &[u8]) -> Dissected {
    match ethernet::Header::parse(link).map(|header| header.ethertype) {
        Ok(EtherType::IPV4) => ip(packet),
        Ok(EtherType::ARP) => arp(packet),
        Ok(EtherType(number)) => saying(format!("ethertype {number:#06x}")),
        Err(_) => saying("cut short".into()),
    }
}

fn saying(says: String) -> Dissected {
    Dissected {
        says,
        ..Dissected::default()
    }
}

fn arp(bytes: &[u8]) -> Dissected {
    let Ok(packet) = arp::Packet::parse(bytes) else {
        return saying("arp, malformed".into());
    };
    let says = match packet.operation {
        Operation::Request => format!("arp who-has {}", packet.target_ip),
        Operation::Reply => format!("arp {} is-at {}", packet.sender_ip, packet.sender_mac),
    };
    Dissected {
        ends: Some((packet.sender_ip, packet.target_ip)),
        ..saying(says)
    }
}

fn ip(packet: &[u8]) -> Dissected {
    let mut packet = packet;
    let mut tunnel = None;
    for _ in 0..DEPTH {
        let Ok(header) = ipv4::Header::parse_quoted(packet) else {
            return Dissected {
                tunnel,
                ..saying("ip, malformed".into())
            };
        };
        let payload = packet.get(header.header_len..).unwrap_or_default();
        if header.protocol != Protocol::IPIP || header.is_fragment() {
            return Dissected {
                tunnel,
                ..innermost(&header, payload)
            };
        }
        tunnel = tunnel.or(Some((header.src, header.dst)));
        packet = payload;
    }
    Dissected {
        tunnel,
        ..saying("ipip ... and more headers".into())
    }
}

fn innermost(header: &ipv4::Header, payload: &[u8]) -> Dissected {
    let is_later = header.is_fragment() && !header.is_first_fragment();
    let says = match is_later {
        true => format!(
            "{} fragment at {}",
            header.protocol, header.fragment_offset_bytes
        ),
        false => transport(header.protocol, payload),
    };
    let found = ports(header.protocol, payload).filter(|_| !is_later);
    Dissected {
        ends: Some((header.src, header.dst)),
        ports: found.map(|ports| (ports.src, ports.dst)),
        ..saying(says)
    }
}

fn transport(protocol: Protocol, payload: &[u8]) -> String {
    match (protocol, payload) {
        (Protocol::TCP, [_, _, _, _, _, _, _, _, _, _, _, _, _, flags, ..]) => {
            format!("tcp {}", letters(TcpFlags(*flags)))
        }
        (Protocol::ICMP, _) => icmp(payload),
        _ => protocol.to_string(),
    }
}

fn icmp(payload: &[u8]) -> String {
    let Ok(header) = icmpv4::Header::parse(payload) else {
        return "icmp".into();
    };
    let [_, _, high, low] = header.rest;
    let sequence = u16::from_be_bytes([high, low]);
    match (header.kind, header.code) {
        (icmpv4::ECHO, _) => format!("icmp echo request {sequence}"),
        (icmpv4::ECHO_REPLY, _) => format!("icmp echo reply {sequence}"),
        (icmpv4::UNREACHABLE, icmpv4::FRAGMENTATION_NEEDED) => {
            format!("icmp fragmentation needed, mtu {sequence}")
        }
        (icmpv4::UNREACHABLE, icmpv4::ADMIN_PROHIBITED) => "icmp prohibited".into(),
        (icmpv4::TIME_EXCEEDED, _) => "icmp time exceeded".into(),
        (kind, code) => format!("icmp {kind}/{code}"),
    }
}

/// As tcpdump has them.
fn letters(flags: TcpFlags) -> String {
    const LETTERS: [(TcpFlags, char); 8] = [
        (TcpFlags::FIN, 'F'),
        (TcpFlags::SYN, 'S'),
        (TcpFlags::RST, 'R'),
        (TcpFlags::PSH, 'P'),
        (TcpFlags::ACK, '.'),
        (TcpFlags::URG, 'U'),
        (TcpFlags::ECE, 'E'),
        (TcpFlags::CWR, 'W'),
    ];
    let set = LETTERS.iter().filter(|(flag, _)| flags.intersects(*flag));
    let set: String = set.map(|(_, letter)| letter).collect();
    format!("[{}]", if set.is_empty() { "none" } else { &set })
}

#[cfg(test)]
mod tests {
    use packet::build;

    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
    const LINK: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];

    #[test]
    fn a_tcp_segment_says_its_flags_also_inside_a_tunnel() {
        let tcp = build::tcp(A, B, 4000, 80, TcpFlags::SYN | TcpFlags::ACK, 0, &[]);
        let plain = dissect(&LINK, &tcp);
        assert_eq!(plain.says, "tcp [S.]");
        assert_eq!(plain.ports, Some((4000, 80)));
        let [outer, other] = [Ipv4Addr::new(172, 16, 30, 7), Ipv4Addr::new(172, 16, 30, 8)];
        let tunnelled = dissect(&LINK, &build::ipip(outer, other, &tcp));
        assert_eq!(tunnelled.tunnel, Some((outer, other)));
        assert_eq!((tunnelled.ends, tunnelled.says), (Some((A, B)), plain.says));
    }

    #[test]
    fn headers_inside_headers_without_end_are_cut_short() {
        let nested = (0..3276).fold(Vec::new(), |inner, _| build::ipip(A, B, &inner));
        let small = std::thread::Builder::new().stack_size(256 << 10);
        let read = small.spawn(move || dissect(&LINK, &nested));
        let read = read.unwrap().join().unwrap();
        assert_eq!(read.says, "ipip ... and more headers");
        assert_eq!((read.tunnel, read.ends), (Some((A, B)), None));
    }

    #[test]
    fn what_is_missing_is_not_said() {
        let tcp = build::tcp(A, B, 4000, 80, TcpFlags::SYN, 0, &[]);
        assert_eq!(dissect(&LINK, &tcp[..24]).ports, Some((4000, 80)));
        assert_eq!(dissect(&LINK, &tcp[..24]).says, "tcp");
        assert_eq!(dissect(&LINK, &tcp[..20]).ports, None);
        assert_eq!(dissect(&LINK, &tcp[..10]).says, "ip, malformed");
        assert_eq!(dissect(&LINK[..3], &[]).says, "cut short");
    }
}
