//! Ethernet II frames (IEEE 802.3 clause 3; RFC 894). An 802.1Q tag is recognised by its EtherType and not read.

use std::fmt;
use std::str::FromStr;

use crate::Truncated;

/// Bytes of an Ethernet header without a VLAN tag.
pub const HEADER_LEN: usize = 14;

/// A 48-bit MAC address, in wire order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// `ff:ff:ff:ff:ff:ff`: every station.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// `00:00:00:00:00:00`: not known.
    pub const ZERO: Self = Self([0; 6]);

    /// True for group addresses, broadcast included (the I/G bit).
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// True for `ff:ff:ff:ff:ff:ff` alone.
    #[inline]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a MAC address such as ee:ee:ee:ee:ee:ee, found {found:?}")]
pub struct ParseMacError {
    /// The text as given.
    pub found: String,
}

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseMacError {
            found: text.to_owned(),
        };
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|p| p.len() == 2 && !p.starts_with('+'))
                .ok_or_else(error)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() {
            return Err(error());
        }
        Ok(Self(bytes))
    }
}

/// What an Ethernet frame carries (IEEE registry), in host order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4, RFC 894.
    pub const IPV4: Self = Self(0x0800);
    /// ARP, RFC 826.
    pub const ARP: Self = Self(0x0806);
    /// An 802.1Q customer tag follows.
    pub const VLAN: Self = Self(0x8100);
    /// An 802.1ad service tag follows.
    pub const QINQ: Self = Self(0x88a8);
    /// IPv6, RFC 2464.
    pub const IPV6: Self = Self(0x86dd);

    /// True when a VLAN tag follows, of either kind.
    #[inline]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::QINQ)
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => f.write_str("IPv4"),
            Self::ARP => f.write_str("ARP"),
            Self::VLAN => f.write_str("802.1Q"),
            Self::QINQ => f.write_str("802.1ad"),
            Self::IPV6 => f.write_str("IPv6"),
            Self(other) => write!(f, "0x{other:04x}"),
        }
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Ethernet II header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Destination address.
    pub dst: MacAddr,
    /// Source address.
    pub src: MacAddr,
    /// What follows. Values below 0x0600 are 802.3 lengths: nothing this crate names.
    pub ethertype: EtherType,
}

impl Header {
    /// Reads the first 14 bytes of a frame.
    ///
    /// # Errors
    /// [`Truncated`] when the frame is shorter than that.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, Truncated> {
        let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] =
            crate::first(frame, "Ethernet header")?;
        Ok(Self {
            dst: MacAddr([d0, d1, d2, d3, d4, d5]),
            src: MacAddr([s0, s1, s2, s3, s4, s5]),
            ethertype: EtherType(u16::from_be_bytes([t0, t1])),
        })
    }

    /// The header as it stands on the wire.
    #[inline]
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let [d0, d1, d2, d3, d4, d5] = self.dst.0;
        let [s0, s1, s2, s3, s4, s5] = self.src.0;
        let [t0, t1] = self.ethertype.0.to_be_bytes();
        [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GATEWAY: MacAddr = MacAddr([0xee; 6]);

    #[test]
    fn reads_the_fields_of_a_literal_header() {
        let bytes = *b"\xee\xee\xee\xee\xee\xee\x02\x00\x00\x00\x00\x07\x08\x00rest";
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(header.dst, GATEWAY);
        assert_eq!(header.src, MacAddr([2, 0, 0, 0, 0, 7]));
        assert_eq!(header.ethertype, EtherType::IPV4);
    }

    #[test]
    fn a_short_frame_is_truncated_at_every_length() {
        for len in 0..HEADER_LEN {
            let error = Header::parse(&[0; HEADER_LEN][..len]).unwrap_err();
            assert_eq!(
                error,
                Truncated {
                    what: "Ethernet header",
                    expected: 14,
                    found: len
                }
            );
        }
    }

    #[test]
    fn mac_text_is_what_ip_link_prints() {
        assert_eq!(GATEWAY.to_string(), "ee:ee:ee:ee:ee:ee");
        assert_eq!(
            "02:00:00:00:00:0A".parse(),
            Ok(MacAddr([2, 0, 0, 0, 0, 10]))
        );
        for wrong in [
            "",
            "ee:ee:ee:ee:ee",
            "ee:ee:ee:ee:ee:ee:ee",
            "ee-ee-ee-ee-ee-ee",
            "e:ee:ee:ee:ee:ee",
            "+1:00:00:00:00:00",
            "gg:00:00:00:00:00",
        ] {
            assert!(wrong.parse::<MacAddr>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn group_addresses_are_known_by_their_bit() {
        assert!(MacAddr::BROADCAST.is_multicast() && MacAddr::BROADCAST.is_broadcast());
        assert!(MacAddr([1, 0, 0x5e, 0, 0, 1]).is_multicast());
        assert!(!GATEWAY.is_multicast() && !MacAddr::ZERO.is_multicast());
    }

    proptest! {
        #[test]
        fn emit_then_parse_is_identity(dst: [u8; 6], src: [u8; 6], ethertype: u16) {
            let header = Header { dst: MacAddr(dst), src: MacAddr(src), ethertype: EtherType(ethertype) };
            prop_assert_eq!(Header::parse(&header.emit()), Ok(header));
        }

        #[test]
        fn mac_text_round_trips(bytes: [u8; 6]) {
            prop_assert_eq!(MacAddr(bytes).to_string().parse(), Ok(MacAddr(bytes)));
        }
    }
}
