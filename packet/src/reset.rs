//! The TCP reset with which a segment is refused (RFC 9293 section 3.10.7.1).

use crate::offload::Checksum;
use crate::transport::{TcpFlags, TcpHeader};
use crate::{Frame, Offload, Protocol, checksum, ipv4};

/// Bytes of a reset: an IPv4 and a TCP header without options.
pub const LEN: usize = ipv4::HEADER_LEN + TcpHeader::LEN;

/// A reset that answers one segment, from the address and port the segment was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    ip: ipv4::Header,
    tcp: TcpHeader,
}

impl Reset {
    /// The reset that refuses the frame's packet, as a host without such a connection would send it: it takes its sequence
    /// number from the acknowledgment, if there is one, and otherwise acknowledges all of the segment. A super-segment is
    /// one segment, counted whole.
    ///
    /// `None` when nothing may be answered: not TCP, itself a reset, a damaged segment (where the checksum is not a
    /// device's to tell), a fragment whose length would be needed, a later fragment. Linear in the length, for the checksum.
    pub fn answering(frame: &Frame) -> Option<Self> {
        let about = ipv4::Header::parse_quoted(frame.packet()).ok()?;
        if about.protocol != Protocol::TCP || about.fragment_offset_bytes != 0 {
            return None;
        }
        let segment = TcpHeader::parse(about.payload(frame.packet())).ok()?;
        let is_whole = !about.more_fragments;
        if segment.flags.contains(TcpFlags::RST) || is_whole && !is_intact(frame, &about) {
            return None;
        }
        let (seq, ack, flags) = match segment.flags.contains(TcpFlags::ACK) {
            true => (segment.ack, 0, TcpFlags::RST),
            false if is_whole => (0, end_of(&segment, &about), TcpFlags::RST | TcpFlags::ACK),
            false => return None,
        };
        let ip = ipv4::Header {
            src: about.dst,
            dst: about.src,
            protocol: Protocol::TCP,
            ttl: 64,
            tos: 0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset_bytes: 0,
            header_len: ipv4::HEADER_LEN,
            total_len: LEN,
        };
        let tcp = TcpHeader {
            src_port: segment.dst_port,
            dst_port: segment.src_port,
            seq,
            ack,
            flags,
            header_len: TcpHeader::LEN,
            window: 0,
        };
        Some(Self { ip, tcp })
    }

    /// Puts the reset in the place of the frame's packet, checksums right. Link header and offload are gone.
    pub fn replace(&self, frame: &mut Frame) {
        let mut packet = [0; LEN];
        packet[..ipv4::HEADER_LEN].copy_from_slice(&self.ip.emit());
        packet[ipv4::HEADER_LEN..].copy_from_slice(&self.tcp.emit());
        checksum::fill_transport(&mut packet, &self.ip);
        frame.clear_link();
        frame.offload = Offload::default();
        match frame.packet_mut().first_chunk_mut() {
            Some(front) => *front = packet,
            None => return frame.replace_packet(&packet),
        }
        frame.truncate_packet(LEN);
    }
}

/// The checksum is right, or a device has seen or will see to it.
fn is_intact(frame: &Frame, about: &ipv4::Header) -> bool {
    frame.offload.checksum != Checksum::None || checksum::verify_transport(frame.packet(), about)
}

/// The sequence number after the segment: SEG.SEQ + SEG.LEN, where SYN and FIN count (RFC 9293 section 3.4).
fn end_of(segment: &TcpHeader, about: &ipv4::Header) -> u32 {
    let payload = about.payload_len() - segment.header_len;
    let controls = [TcpFlags::SYN, TcpFlags::FIN].map(|flag| segment.flags.contains(flag));
    let len = payload + controls.into_iter().filter(|set| *set).count();
    segment.seq.wrapping_add(len as u32)
}

#[cfg(test)]
mod tests;
