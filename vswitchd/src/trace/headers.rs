//! A frame's headers in a few lines.

use packet::offload::GsoKind;
use packet::transport::{TcpFlags, TcpHeader, UdpHeader};
use packet::{EtherType, Frame, Protocol, arp, ethernet, icmpv4, ipv4};

/// IP headers inside one another that are told of: two are usual, and a packet has room for thousands.
const DEPTH: usize = 4;

/// One line for the link header, one for each IP header with what it carries.
pub(super) fn lines(frame: &Frame) -> String {
    let mut lines = Vec::new();
    let mut ethertype = EtherType::IPV4;
    if let Ok(link) = ethernet::Header::parse(frame.link()) {
        ethertype = link.ethertype;
        lines.push(format!("{} > {}, {}", link.src, link.dst, link.ethertype));
    }
    match ethertype {
        EtherType::IPV4 => lines.extend(ip(frame.packet())),
        EtherType::ARP => lines.push(arp(frame.packet())),
        _ => lines.push(format!("{} bytes", frame.packet_len())),
    }
    if let Some(gso) = frame.offload.gso {
        let kind = match gso.kind {
            GsoKind::Tcp4 => "TCP",
            GsoKind::UdpL4 => "UDP",
            GsoKind::Other(_) => "unknown",
        };
        lines.push(format!("a {kind} super-segment, cut by {} bytes", gso.size));
    }
    lines.join("\n")
}

/// The innermost IP header with what it carries, in one line.
pub(crate) fn summary(frame: &Frame) -> String {
    ip(frame.packet()).pop().unwrap_or_default()
}

fn arp(bytes: &[u8]) -> String {
    match arp::Packet::parse(bytes) {
        Ok(packet) if packet.operation == arp::Operation::Request => {
            format!("who has {}? tell {}", packet.target_ip, packet.sender_ip)
        }
        Ok(packet) => format!("{} is at {}", packet.sender_ip, packet.sender_mac),
        Err(error) => format!("no ARP: {error}"),
    }
}

/// A line for each IP header, from the outermost on.
fn ip(packet: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut next = Some(packet);
    while let Some(packet) = next {
        let (line, inner) = one(packet);
        lines.push(line);
        next = inner;
        if let (DEPTH, Some(_), Some(last)) = (lines.len(), next, lines.last_mut()) {
            last.push_str(" ... and more headers");
            break;
        }
    }
    lines
}

/// A header's line, and the packet in the packet.
fn one(packet: &[u8]) -> (String, Option<&[u8]>) {
    let header = match ipv4::Header::parse_quoted(packet) {
        Ok(header) => header,
        Err(error) => return (error.to_string(), None),
    };
    let flags = match (header.dont_fragment, header.is_fragment()) {
        (_, true) => format!(", fragment at {}", header.fragment_offset_bytes),
        (true, _) => ", DF".to_owned(),
        _ => String::new(),
    };
    let carried = match header.fragment_offset_bytes {
        0 => transport(&header, header.payload(packet)),
        _ => header.protocol.to_string(),
    };
    let line = format!(
        "{} > {}, {carried}, ttl {}, {} bytes{flags}",
        header.src, header.dst, header.ttl, header.total_len
    );
    let has_inner = header.protocol == Protocol::IPIP && header.fragment_offset_bytes == 0;
    (line, has_inner.then(|| header.payload(packet)))
}

fn transport(header: &ipv4::Header, payload: &[u8]) -> String {
    let read = match header.protocol {
        Protocol::TCP => TcpHeader::parse(payload).ok().map(|tcp| {
            let flags = letters(tcp.flags);
            format!("tcp {} > {} [{flags}]", tcp.src_port, tcp.dst_port)
        }),
        Protocol::UDP => UdpHeader::parse(payload)
            .ok()
            .map(|udp| format!("udp {} > {}", udp.src_port, udp.dst_port)),
        Protocol::ICMP => icmpv4::Header::parse(payload)
            .ok()
            .map(|icmp| icmp_name(&icmp)),
        _ => None,
    };
    read.unwrap_or_else(|| header.protocol.to_string())
}

/// As tcpdump writes them.
fn letters(flags: TcpFlags) -> String {
    let named = [
        (TcpFlags::FIN, 'F'),
        (TcpFlags::SYN, 'S'),
        (TcpFlags::RST, 'R'),
        (TcpFlags::PSH, 'P'),
        (TcpFlags::ACK, '.'),
        (TcpFlags::URG, 'U'),
    ];
    let set = named.iter().filter(|(flag, _)| flags.contains(*flag));
    set.map(|(_, letter)| letter).collect()
}

/// An ICMP message, by name where it has a usual one.
pub(super) fn icmp_name(icmp: &icmpv4::Header) -> String {
    match (icmp.kind, icmp.code) {
        (icmpv4::ECHO, 0) => "icmp echo request".to_owned(),
        (icmpv4::ECHO_REPLY, 0) => "icmp echo reply".to_owned(),
        (kind, code) => format!("icmp {kind}/{code}"),
    }
}

#[cfg(test)]
mod tests {
    use packet::build;

    use super::*;

    #[test]
    fn headers_inside_headers_without_end_are_cut_short() {
        let [a, b] = [1, 2].map(|last| [10, 244, 0, last].into());
        let nested = (0..3276).fold(Vec::new(), |inner, _| build::ipip(a, b, &inner));
        let small = std::thread::Builder::new().stack_size(256 << 10);
        let told = small.spawn(move || {
            let frame = Frame::from_packet(&nested);
            (lines(&frame), summary(&frame))
        });
        let (lines, summary) = told.unwrap().join().unwrap();
        assert_eq!(lines.lines().count(), DEPTH, "{lines}");
        assert!(lines.ends_with(&summary), "{lines}");
        assert!(
            summary.ends_with("bytes, DF ... and more headers"),
            "{summary}"
        );
    }
}
