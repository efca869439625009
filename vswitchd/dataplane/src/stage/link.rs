//! Reading the link header.

use packet::ethernet::{EtherType, Header, MacAddr};
use packet::frame::Frame;
use packet::ipv4;

use crate::drop_reason::DropReason;

/// What the frame carries.
pub(crate) enum Carried {
    Arp,
    Ipv4 { src: MacAddr, dst: MacAddr },
}

/// Reads the Ethernet header and says what follows it.
#[inline]
pub(crate) fn read(frame: &Frame) -> Result<(Header, Carried), DropReason> {
    let link = Header::parse(frame.link()).map_err(|_| DropReason::Truncated)?;
    let carried = match link.ethertype {
        EtherType::IPV4 => Carried::Ipv4 {
            src: link.src,
            dst: link.dst,
        },
        EtherType::ARP => Carried::Arp,
        EtherType::IPV6 => return Err(DropReason::Ipv6),
        EtherType::VLAN | EtherType::QINQ => return Err(DropReason::Vlan),
        _ => return Err(DropReason::EtherType),
    };
    Ok((link, carried))
}

/// Reads the IPv4 header and cuts Ethernet padding off behind the packet.
#[inline]
pub(crate) fn packet(frame: &mut Frame) -> Result<ipv4::Header, DropReason> {
    let header = ipv4::Header::parse(frame.packet()).map_err(malformed)?;
    if header.has_options() && ipv4::has_source_route(frame.packet(), &header) {
        return Err(DropReason::SourceRoute);
    }
    frame.truncate_packet(header.total_len);
    Ok(header)
}

fn malformed(error: ipv4::Error) -> DropReason {
    match error {
        ipv4::Error::Truncated => DropReason::Truncated,
        ipv4::Error::Checksum => DropReason::Ipv4Checksum,
        ipv4::Error::NotVersion4 | ipv4::Error::HeaderLength | ipv4::Error::TotalLength => {
            DropReason::Ipv4Malformed
        }
    }
}

/// Destinations and sources that may not be routed (RFC 1122 section 3.2.1.3,
/// RFC 1812 section 5.3.7).
#[inline]
pub(crate) fn refuse_special(header: &ipv4::Header) -> Result<(), DropReason> {
    if header.dst.is_broadcast() {
        return Err(DropReason::Broadcast);
    }
    if header.dst.is_multicast() {
        return Err(DropReason::Multicast);
    }
    let never = |first: u8| first == 0 || first == 127 || first >= 240;
    if never(header.dst.octets()[0]) || never(header.src.octets()[0]) || header.src.is_multicast() {
        return Err(DropReason::Martian);
    }
    Ok(())
}
