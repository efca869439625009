//! Which received frames a packet port sees: classic BPF programs, run by the kernel before it queues a frame.

use std::net::Ipv4Addr;

use libc::sock_filter;

use crate::bpf::{
    and, answer, if_equal, load_ethertype, load_packet_type, load_u8, load_u8_at_x, load_u16,
    load_u16_at_x, load_u32, load_vlan_present, load_x_header_len,
};

const KEEP: sock_filter = answer(u32::MAX);
const DROP: sock_filter = answer(0);
const PROTOCOL_IPIP: u32 = 4;

/// Which received frames a [`PacketPort`](crate::PacketPort) sees. Frames the host itself sends are never among them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Filter {
    /// Every frame that arrives: a workload's port.
    #[default]
    Everything,
    /// Every frame but untagged IPv4: what a workload's port behind tc does not hear.
    NotIpv4,
    /// Untagged ARP, whoever it is addressed to: for asking who else has an address.
    Arp,
    /// The uplink: untagged IPv4 frames addressed to this host that carry IPIP, or an ICMP fragmentation-needed
    /// (type 3 code 4) that quotes IPIP (RFC 2003 section 5.1). All else is the host's own business.
    ///
    /// Fragments of such packets are put together by the kernel before the port sees them
    /// (`PACKET_FANOUT_FLAG_DEFRAG`), so that a fan-out can look into each.
    Uplink,
    /// As [`Uplink`](Filter::Uplink), and packets to the given blocks (address, prefix length) that come without
    /// encapsulation. Here the kernel reassembles nothing: a plain packet's fragments are its own.
    UplinkPlain {
        /// Destination blocks, at most 1000 of them.
        block: Vec<(Ipv4Addr, u8)>,
    },
}

impl Filter {
    /// The program for `SO_ATTACH_FILTER`.
    pub(crate) fn program(&self) -> Vec<sock_filter> {
        match self {
            Self::Everything => vec![
                load_packet_type(),
                if_equal(libc::PACKET_OUTGOING.into(), 0, 1),
                DROP,
                KEEP,
            ],
            Self::NotIpv4 => vec![
                load_packet_type(),
                if_equal(libc::PACKET_OUTGOING.into(), 4, 0),
                load_vlan_present(),
                if_equal(0, 0, 3),
                load_ethertype(),
                if_equal(libc::ETH_P_IP as u32, 0, 1),
                DROP,
                KEEP,
            ],
            Self::Arp => vec![
                load_ethertype(),
                if_equal(libc::ETH_P_ARP as u32, 0, 1),
                KEEP,
                DROP,
            ],
            Self::Uplink => [underlay().as_slice(), &[DROP]].concat(),
            Self::UplinkPlain { block } => {
                let blocks = block
                    .iter()
                    .flat_map(|&(address, length)| to_block(address, length));
                underlay().into_iter().chain(blocks).chain([DROP]).collect()
            }
        }
    }

    pub(crate) fn reassembles(&self) -> bool {
        *self == Self::Uplink
    }
}

/// A program that hears nothing: for sockets that only send, or are not ready yet.
pub(crate) const DEAF: [sock_filter; 1] = [DROP];

/// Keeps IPIP and fragmentation-needed about IPIP, drops what is not untagged IPv4 to this host, and leaves the
/// rest to the instructions that follow: the longer jumps lead just past the end.
fn underlay() -> [sock_filter; 19] {
    [
        load_vlan_present(),
        if_equal(0, 0, 4),
        load_packet_type(),
        if_equal(libc::PACKET_HOST.into(), 0, 2),
        load_ethertype(),
        if_equal(libc::ETH_P_IP as u32, 1, 0),
        DROP,
        load_u8(9),
        if_equal(PROTOCOL_IPIP, 9, 0),
        if_equal(libc::IPPROTO_ICMP as u32, 0, 9),
        load_u16(6),
        and(0x1fff), // fragment offset: only the first fragment begins with an ICMP header
        if_equal(0, 0, 6),
        load_x_header_len(0),
        load_u16_at_x(0),
        if_equal(0x0304, 0, 3),
        load_u8_at_x(8 + 9), // protocol of the quoted packet
        if_equal(PROTOCOL_IPIP, 0, 1),
        KEEP,
    ]
}

/// Keeps packets whose destination lies in the block.
fn to_block(address: Ipv4Addr, length: u8) -> [sock_filter; 4] {
    let mask = u32::MAX
        .checked_shl(32 - u32::from(length.min(32)))
        .unwrap_or(0);
    [
        load_u32(16),
        and(mask),
        if_equal(u32::from(address) & mask, 0, 1),
        KEEP,
    ]
}
