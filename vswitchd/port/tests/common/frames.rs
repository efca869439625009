//! Frames for tests.

use std::net::Ipv4Addr;

use packet::transport::TcpFlags;
use packet::{EtherType, Frame, MacAddr, build, ethernet};
use port::Link;

pub(crate) const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
pub(crate) const OTHER_POD: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 7);
pub(crate) const OTHER_NODE: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 6);

const SRC_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const DST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// Puts the link header of `link` before the packet.
pub(crate) fn on(link: Link, mut frame: Frame) -> Frame {
    if link == Link::Ethernet {
        let header = ethernet::Header {
            dst: DST_MAC,
            src: SRC_MAC,
            ethertype: EtherType::IPV4,
        };
        frame.set_link(&header.emit());
    }
    frame
}

/// A UDP packet with `payload_len` bytes that tell where they are, and tell `number`.
pub(crate) fn udp(number: u16, payload_len: usize) -> Frame {
    let payload: Vec<u8> = (0..payload_len)
        .map(|at| (at + usize::from(number)) as u8)
        .collect();
    Frame::from_packet(&build::udp(POD, OTHER_POD, 4000, number, &payload))
}

/// A TCP packet with `payload_len` bytes that differ from place to place.
pub(crate) fn tcp_packet(payload_len: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..payload_len).map(|at| (at ^ (at >> 8)) as u8).collect();
    build::tcp(
        POD,
        OTHER_POD,
        40_000,
        80,
        TcpFlags::ACK | TcpFlags::PSH,
        0xffff_f000,
        &payload,
    )
}
