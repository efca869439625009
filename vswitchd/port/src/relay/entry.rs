//! What the program and the daemon share about a lane: one entry of 128 bytes.
//!
//! Numbers are in the machine's byte order, addresses, ports and MACs as on the wire. The program writes in the first half,
//! the daemon in the second, before the lane's key leads to it.

use std::io;
use std::net::Ipv4Addr;

use packet::{EtherType, Protocol};

use super::{Arrives, LaneSpec};

/// 64-bit words of an entry.
pub(super) const WORDS: usize = 16;
/// The first word of the half that the daemon writes.
pub(super) const SECOND_HALF: usize = 8;

/// Places of the first half, in bytes: the state and the frames seen, as [`super::state`] packs them.
pub(super) const STATE: i16 = 0;
/// Frames relayed.
pub(super) const PACKETS: i16 = 8;
/// Bytes of them, as they arrived, link header and outer header included.
pub(super) const BYTES: i16 = 16;
/// Frames dropped because the kernel failed half way.
pub(super) const LOST: i16 = 24;

/// Places of the second half: the lane's key.
pub(super) const KEY: i16 = 64;
/// Number of the interface its frames leave by.
pub(super) const TO_INTERFACE: i16 = 84;
/// Bytes of IP packet, at most.
pub(super) const MTU: i16 = 88;
/// Four bytes of the mark.
pub(super) const MARK: i16 = 92;
/// How its frames arrive: the destination and source MACs, or the outer source and destination.
pub(super) const ARRIVES: i16 = 96;
/// The destination and source MACs its frames leave with.
pub(super) const LINK: i16 = 108;

/// Bytes of a key: interface, source, destination, both ports, protocol.
pub(super) const KEY_LEN: usize = 20;
/// Bytes of both MACs.
const MACS_LEN: usize = 12;

/// The key of a lane's frames.
pub(super) fn key(lane: &LaneSpec) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    let flow = &lane.flow;
    key[..4].copy_from_slice(&lane.interface.to_ne_bytes());
    key[4..8].copy_from_slice(&flow.src.octets());
    key[8..12].copy_from_slice(&flow.dst.octets());
    key[12..14].copy_from_slice(&flow.src_port.to_be_bytes());
    key[14..16].copy_from_slice(&flow.dst_port.to_be_bytes());
    key[16..].copy_from_slice(&u32::from(flow.protocol.0).to_ne_bytes());
    key
}

/// The second half of a lane's entry. `InvalidInput`: neither TCP nor UDP, or a link header of something else than IPv4.
pub(super) fn second_half(lane: &LaneSpec) -> io::Result<[u64; WORDS - SECOND_HALF]> {
    if !matches!(lane.flow.protocol, Protocol::TCP | Protocol::UDP) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut half = [0; (WORDS - SECOND_HALF) * 8];
    let mut put = |at: i16, bytes: &[u8]| {
        let at = (at - KEY) as usize;
        half[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(KEY, &key(lane));
    put(TO_INTERFACE, &lane.to_interface.to_ne_bytes());
    put(MTU, &u32::from(lane.mtu_bytes).to_ne_bytes());
    put(MARK, &lane.mark);
    match &lane.arrives {
        Arrives::Plain { link } => put(ARRIVES, macs(link)?),
        Arrives::Tunnel { local, remote } => put(ARRIVES, &outer(*remote, *local)),
    }
    put(LINK, macs(&lane.link)?);
    let (words, _) = half.as_chunks::<8>();
    Ok(std::array::from_fn(|at| u64::from_ne_bytes(words[at])))
}

/// Destination and source of an IPv4 packet's link header.
fn macs(link: &[u8; 14]) -> io::Result<&[u8]> {
    let (macs, ethertype) = link.split_at(MACS_LEN);
    if ethertype != EtherType::IPV4.0.to_be_bytes() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(macs)
}

fn outer(src: Ipv4Addr, dst: Ipv4Addr) -> [u8; 8] {
    let mut outer = [0; 8];
    outer[..4].copy_from_slice(&src.octets());
    outer[4..].copy_from_slice(&dst.octets());
    outer
}

#[cfg(test)]
mod tests {
    use packet::flow::FlowKey;

    use super::*;

    const LINK: [u8; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0];

    fn lane(arrives: Arrives) -> LaneSpec {
        LaneSpec {
            interface: 0x0102_0304,
            flow: FlowKey {
                src: Ipv4Addr::new(10, 0, 0, 1),
                dst: Ipv4Addr::new(10, 0, 0, 2),
                src_port: 0x1122,
                dst_port: 0x3344,
                protocol: Protocol::UDP,
            },
            arrives,
            to_interface: 0x0506_0708,
            link: LINK,
            mtu_bytes: 1480,
            mark: [0xa, 0xb, 0xc, 0xd],
        }
    }

    fn bytes(lane: &LaneSpec) -> Vec<u8> {
        let words = second_half(lane).unwrap();
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// Numbers as this machine writes them, all else as on the wire.
    #[test]
    fn the_second_half_is_laid_out_as_the_program_reads_it() {
        let plain = lane(Arrives::Plain { link: [9; 14] });
        assert!(second_half(&plain).is_err(), "not IPv4");
        let written = bytes(&lane(Arrives::Plain { link: LINK }));
        let interface = 0x0102_0304_u32.to_ne_bytes();
        assert_eq!(written[..4], interface);
        let flow = [10, 0, 0, 1, 10, 0, 0, 2, 0x11, 0x22, 0x33, 0x44];
        assert_eq!(written[4..16], flow);
        assert_eq!(written[16..20], 17_u32.to_ne_bytes());
        assert_eq!(written[20..24], 0x0506_0708_u32.to_ne_bytes());
        assert_eq!(written[24..28], 1480_u32.to_ne_bytes());
        assert_eq!(written[28..32], [0xa, 0xb, 0xc, 0xd]);
        assert_eq!(written[32..44], LINK[..12]);
        assert_eq!(written[44..56], LINK[..12]);
        assert_eq!(written[56..], [0; 8]);
    }

    #[test]
    fn a_tunnels_lane_expects_the_outer_source_and_then_the_destination() {
        let tunnel = lane(Arrives::Tunnel {
            local: Ipv4Addr::new(172, 16, 0, 1),
            remote: Ipv4Addr::new(172, 16, 0, 2),
        });
        let expected = [172, 16, 0, 2, 172, 16, 0, 1, 0, 0, 0, 0];
        assert_eq!(bytes(&tunnel)[32..44], expected);
    }
}
