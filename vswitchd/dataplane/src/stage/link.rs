//! Reading the link header and the IPv4 header behind it.

use std::net::Ipv4Addr;

use packet::ethernet::{self, EtherType, Header, MacAddr};
use packet::frame::Frame;
use packet::ipv4;

use crate::drop_reason::DropReason;

/// Whether this is the frame's link header. Two words that overlap are compared
/// faster than 14 bytes.
#[inline(always)]
pub(crate) fn is(frame: &Frame, expected: &[u8; ethernet::HEADER_LEN]) -> bool {
    let ends = |link: &[u8; ethernet::HEADER_LEN]| -> Option<(u64, u64)> {
        let (first, last) = (link.first_chunk()?, link.last_chunk()?);
        Some((u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)))
    };
    match frame.link().try_into() {
        Ok(link) => ends(link) == ends(expected),
        Err(_) => false,
    }
}

/// Whether the frame carries IPv4 to this address.
#[inline(always)]
pub(crate) fn is_ipv4_to(frame: &Frame, mac: MacAddr) -> bool {
    Header::parse(frame.link())
        .is_ok_and(|link| link.dst == mac && link.ethertype == EtherType::IPV4)
}

/// Reads the Ethernet header; what follows is IPv4 or ARP.
#[inline(always)]
pub(crate) fn read(frame: &Frame) -> Result<Header, DropReason> {
    let link = Header::parse(frame.link()).map_err(|_| DropReason::Truncated)?;
    match link.ethertype {
        EtherType::IPV4 | EtherType::ARP => Ok(link),
        EtherType::IPV6 => Err(DropReason::Ipv6),
        EtherType::VLAN | EtherType::QINQ => Err(DropReason::Vlan),
        _ => Err(DropReason::EtherType),
    }
}

/// Reads the IPv4 header and cuts Ethernet padding off behind the packet.
#[inline(always)]
pub(crate) fn packet(frame: &mut Frame) -> Result<ipv4::Header, DropReason> {
    let header = ipv4::Header::parse(frame.packet()).map_err(malformed)?;
    refuse_source_route(frame, &header)?;
    frame.truncate_packet(header.total_len);
    Ok(header)
}

/// RFC 7126 section 4.3: senders may not choose the way.
#[inline(always)]
pub(crate) fn refuse_source_route(frame: &Frame, header: &ipv4::Header) -> Result<(), DropReason> {
    if header.has_options() && has_source_route(frame) {
        return Err(DropReason::SourceRoute);
    }
    Ok(())
}

#[cold]
fn has_source_route(frame: &Frame) -> bool {
    ipv4::Header::parse_quoted(frame.packet())
        .is_ok_and(|header| ipv4::has_source_route(frame.packet(), &header))
}

/// The row of a packet without a valid header.
pub(crate) fn malformed(error: ipv4::Error) -> DropReason {
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
#[inline(always)]
pub(crate) fn refuse_special(src: Ipv4Addr, dst: Ipv4Addr) -> Result<(), DropReason> {
    // 1/8 to 223/8 without 127/8: everything that is neither special nor multicast.
    let is_plain = |address: Ipv4Addr| matches!(address.octets()[0], 1..=126 | 128..=223);
    match is_plain(dst) && is_plain(src) {
        true => Ok(()),
        false => Err(why_special(dst)),
    }
}

#[cold]
fn why_special(dst: Ipv4Addr) -> DropReason {
    if dst.is_broadcast() {
        DropReason::Broadcast
    } else if dst.is_multicast() {
        DropReason::Multicast
    } else {
        DropReason::Martian
    }
}
