//! ARP for IPv4 over Ethernet (RFC 826). Other hardware or protocol types are refused.

use std::net::Ipv4Addr;

use crate::{MacAddr, Truncated};

/// Bytes of an ARP packet for IPv4 over Ethernet.
pub const LEN: usize = 28;

/// Hardware type 1, protocol type 0x0800, lengths 6 and 4.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What the packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// 1: who has the target address?
    Request,
    /// 2: the sender has it.
    Reply,
}

/// Why bytes are not an ARP packet this crate reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer than 28 bytes.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Not hardware type 1 with 6-byte addresses and protocol type 0x0800 with 4-byte ones.
    #[error(
        "expected ARP for IPv4 over Ethernet, found hardware type {hardware}, protocol type 0x{protocol:04x}"
    )]
    NotEthernetIpv4 {
        /// Hardware type as found.
        hardware: u16,
        /// Protocol type as found.
        protocol: u16,
    },
    /// Neither request nor reply.
    #[error("expected ARP operation 1 or 2, found {0}")]
    Operation(u16),
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// MAC address of the station that sends.
    pub sender_mac: MacAddr,
    /// Its IPv4 address; 0.0.0.0 in a duplicate address probe (RFC 5227).
    pub sender_ip: Ipv4Addr,
    /// MAC address asked of or answered to; zero in a request.
    pub target_mac: MacAddr,
    /// IPv4 address asked for.
    pub target_ip: Ipv4Addr,
}

impl Packet {
    /// Reads the first 28 bytes; Ethernet padding after them is ignored.
    ///
    /// # Errors
    /// [`Error`] when they are too few, of another medium, or neither request nor reply.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let b: &[u8; LEN] = crate::first(bytes, "ARP packet")?;
        if b[..6] != ETHERNET_IPV4 {
            let [hardware, protocol] = [[b[0], b[1]], [b[2], b[3]]].map(u16::from_be_bytes);
            return Err(Error::NotEthernetIpv4 { hardware, protocol });
        }
        let operation = match u16::from_be_bytes([b[6], b[7]]) {
            1 => Operation::Request,
            2 => Operation::Reply,
            other => return Err(Error::Operation(other)),
        };
        Ok(Self {
            operation,
            sender_mac: MacAddr([b[8], b[9], b[10], b[11], b[12], b[13]]),
            sender_ip: Ipv4Addr::new(b[14], b[15], b[16], b[17]),
            target_mac: MacAddr([b[18], b[19], b[20], b[21], b[22], b[23]]),
            target_ip: Ipv4Addr::new(b[24], b[25], b[26], b[27]),
        })
    }

    /// The packet as it stands on the wire, without Ethernet padding.
    pub fn emit(&self) -> [u8; LEN] {
        let mut b = [0; LEN];
        b[..6].copy_from_slice(&ETHERNET_IPV4);
        b[7] = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        b[8..14].copy_from_slice(&self.sender_mac.0);
        b[14..18].copy_from_slice(&self.sender_ip.octets());
        b[18..24].copy_from_slice(&self.target_mac.0);
        b[24..28].copy_from_slice(&self.target_ip.octets());
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// "who has 169.254.1.1, tell 10.244.120.67", as a pod asks it.
    const REQUEST: [u8; LEN] = [
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 7, 10, 244, 120, 67, 0, 0, 0, 0, 0, 0, 169, 254, 1,
        1,
    ];

    #[test]
    fn reads_a_pods_request_for_its_gateway() {
        let packet = Packet::parse(&REQUEST).unwrap();
        assert_eq!(packet.operation, Operation::Request);
        assert_eq!(packet.sender_mac, MacAddr([2, 0, 0, 0, 0, 7]));
        assert_eq!(packet.sender_ip, Ipv4Addr::new(10, 244, 120, 67));
        assert_eq!(packet.target_mac, MacAddr::ZERO);
        assert_eq!(packet.target_ip, Ipv4Addr::new(169, 254, 1, 1));
    }

    #[test]
    fn refuses_other_media_operations_and_short_packets() {
        let with = |at: usize, byte| {
            let mut bytes = REQUEST;
            bytes[at] = byte;
            Packet::parse(&bytes)
        };
        assert_eq!(
            with(1, 6),
            Err(Error::NotEthernetIpv4 {
                hardware: 6,
                protocol: 0x800
            })
        );
        assert!(matches!(with(4, 8), Err(Error::NotEthernetIpv4 { .. })));
        assert_eq!(with(7, 3), Err(Error::Operation(3)));
        for len in 0..LEN {
            assert!(matches!(
                Packet::parse(&REQUEST[..len]),
                Err(Error::Truncated(_))
            ));
        }
    }

    proptest! {
        #[test]
        fn emit_then_parse_is_identity(reply: bool, sender: ([u8; 6], [u8; 4]), target: ([u8; 6], [u8; 4])) {
            let packet = Packet {
                operation: if reply { Operation::Reply } else { Operation::Request },
                sender_mac: MacAddr(sender.0),
                sender_ip: sender.1.into(),
                target_mac: MacAddr(target.0),
                target_ip: target.1.into(),
            };
            prop_assert_eq!(Packet::parse(&packet.emit()), Ok(packet));
        }
    }
}
