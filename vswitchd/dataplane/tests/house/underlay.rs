//! The network between the nodes: it carries, loses, and complains about size.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use packet::icmpv4::Message;
use packet::segment::{MAX_HEADERS, Segments};
use packet::{Frame, build, fragment, ipv4};

use super::plan::ROUTER;

/// Says whether a packet is lost.
pub type Loss = Box<dyn FnMut(&[u8]) -> bool>;

#[derive(Default)]
pub struct Underlay {
    /// Bytes of the largest packet from one node to another, where it is less
    /// than eth0's.
    pub path_mtu: HashMap<(Ipv4Addr, Ipv4Addr), usize>,
    /// Asked about each packet, if set.
    pub loss: Option<Loss>,
    /// Routers quote the header and 8 bytes only (RFC 792), not up to 576.
    pub quotes_little: bool,
    /// The packets that left a node's eth0 since somebody last looked.
    pub log: Vec<Vec<u8>>,
}

/// What came of a packet.
pub enum Carried {
    /// It reaches `ipv4::Header::dst` in these pieces.
    Pieces(Vec<Vec<u8>>),
    /// It is lost.
    Lost,
    /// The sender is told by this ICMP error.
    TooBig(Vec<u8>),
}

impl Underlay {
    /// Carries one packet, complete but for its Ethernet header.
    pub fn carry(&mut self, packet: &[u8]) -> Carried {
        self.log.push(packet.to_vec());
        if self.loss.as_mut().is_some_and(|lose| lose(packet)) {
            return Carried::Lost;
        }
        let header = ipv4::Header::parse(packet).expect("a packet that the house has checked");
        match self.path_mtu.get(&(header.src, header.dst)) {
            Some(mtu) if packet.len() > *mtu && header.dont_fragment => {
                Carried::TooBig(self.complain(packet, *mtu))
            }
            Some(mtu) => Carried::Pieces(cut(packet, *mtu)),
            None => Carried::Pieces(vec![packet.to_vec()]),
        }
    }

    fn complain(&self, packet: &[u8], mtu: usize) -> Vec<u8> {
        let message = Message::FragmentationNeeded {
            next_hop_mtu: mtu as u16,
        };
        let quoted = match self.quotes_little {
            true => &packet[..ipv4::HEADER_LEN + 8],
            false => packet,
        };
        let mut error = Frame::from_packet(quoted);
        packet::icmpv4::make_error(&mut error, message, ROUTER);
        // The quotation is shorter than its total length says.
        let len = error.packet_len() as u16;
        ipv4::set_total_len(error.packet_mut(), len);
        error.packet().to_vec()
    }
}

/// Cuts a packet as a router would.
pub fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let pieces = fragment::fragments(packet, mtu).expect("a packet that may be cut");
    pieces
        .map(|piece| [piece.header(), piece.payload].concat())
        .collect()
}

/// What a device sends for a frame: the segments of a super-segment, every
/// checksum complete. IP packets, without the link header.
pub fn on_the_wire(frame: &Frame) -> Vec<Vec<u8>> {
    let link_len = frame.link().len();
    let Ok(mut segments) = Segments::of(frame) else {
        return vec![complete(frame.clone())];
    };
    let mut headers = [0; MAX_HEADERS];
    let mut packets = Vec::new();
    while let Some(segment) = segments.next(&mut headers) {
        let bytes = [&headers[link_len..segment.headers_len], segment.payload].concat();
        let mut piece = Frame::from_packet(&bytes);
        piece.offload = segment.offload;
        packets.push(complete(piece));
    }
    packets
}

fn complete(mut frame: Frame) -> Vec<u8> {
    frame.finish_checksum();
    frame.packet().to_vec()
}

/// The pieces of a fragmented packet put together again, in any order.
///
/// # Panics
/// When a byte is missing.
pub fn reassemble(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut pieces: Vec<_> = pieces
        .iter()
        .map(|piece| (ipv4::Header::parse(piece).unwrap(), piece))
        .collect();
    pieces.sort_by_key(|(header, _)| header.fragment_offset_bytes);
    let mut payload = Vec::new();
    for (header, piece) in &pieces {
        assert_eq!(usize::from(header.fragment_offset_bytes), payload.len());
        payload.extend_from_slice(header.payload(piece));
    }
    assert!(
        !pieces.last().unwrap().0.more_fragments,
        "the last is missing"
    );
    let first = pieces[0].1;
    let whole = [&first[..pieces[0].0.header_len], &payload].concat();
    let total_len = whole.len();
    build::with_header(&whole, |header| {
        header.total_len = total_len;
        header.more_fragments = false;
    })
}
