//! The key of a flow and a hash of it that is the same for both directions.

use std::net::Ipv4Addr;

use crate::{Protocol, Truncated, icmpv4, ipv4, transport};

/// What tells one flow from another, as one direction writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// Source port of TCP, UDP and SCTP; identifier of an ICMP echo; else 0.
    pub src_port: u16,
    /// Destination port of TCP, UDP and SCTP; identifier of an ICMP echo; else 0.
    pub dst_port: u16,
    /// L4 protocol.
    pub protocol: Protocol,
}

impl FlowKey {
    /// Reads the key of a packet whose header the caller has parsed (a quotation in an ICMP error will do). Of fragments only
    /// the first has ports: later ones have zeros.
    ///
    /// # Errors
    /// [`Truncated`] when the payload ends before the ports or the ICMP identifier.
    #[inline]
    pub fn read(packet: &[u8], header: &ipv4::Header) -> Result<Self, Truncated> {
        let (src_port, dst_port) = match header.protocol {
            _ if header.fragment_offset_bytes != 0 => (0, 0),
            Protocol::TCP | Protocol::UDP | Protocol::SCTP => {
                let &[a, b, c, d] = crate::first(header.payload(packet), "ports")?;
                (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
            }
            Protocol::ICMP => {
                let id = icmpv4::Header::parse(header.payload(packet))?
                    .echo_id()
                    .unwrap_or(0);
                (id, id)
            }
            _ => (0, 0),
        };
        Ok(Self {
            src: header.src,
            dst: header.dst,
            src_port,
            dst_port,
            protocol: header.protocol,
        })
    }

    /// The key as the other direction writes it.
    #[inline]
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            protocol: self.protocol,
        }
    }

    /// A hash that both directions share. For an unfragmented packet it is what the kernel's fan-out computes.
    #[inline(always)]
    pub const fn symmetric_hash(&self) -> u32 {
        let ports_xor = (self.src_port ^ self.dst_port) as u32;
        symmetric_hash(self.src.to_bits(), self.dst.to_bits(), ports_xor)
    }
}

/// The hash by which flows are spread over workers, the same for both directions. Addresses in host order; `ports_xor` is
/// source port xor destination port of TCP, UDP or SCTP that is not a fragment, and 0 otherwise. The classic BPF fan-out
/// program of `port` computes exactly this, so it has only operations that program has.
#[inline(always)]
pub const fn symmetric_hash(src: u32, dst: u32, ports_xor: u32) -> u32 {
    let mut h = src ^ dst ^ ports_xor.wrapping_mul(0x9e37_79b1);
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 15;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// The hash by which the kernel's fan-out spreads this packet: that of the packet inside if it is IPIP, ports counted only
/// when it is no fragment. 0 when there is no IPv4 packet to read.
pub fn fanout_hash(packet: &[u8]) -> u32 {
    let Ok(mut header) = ipv4::Header::parse_quoted(packet) else {
        return 0;
    };
    let mut packet = packet;
    if header.protocol == Protocol::IPIP && header.fragment_offset_bytes == 0 {
        packet = header.payload(packet);
        match ipv4::Header::parse_quoted(packet) {
            Ok(inner) => header = inner,
            Err(_) => return 0,
        }
    }
    let ports = match header.is_fragment() {
        false => transport::ports(header.protocol, header.payload(packet)),
        true => None,
    };
    let ports_xor = ports.map_or(0, |ports| u32::from(ports.src ^ ports.dst));
    symmetric_hash(header.src.to_bits(), header.dst.to_bits(), ports_xor)
}

#[cfg(test)]
mod tests;
