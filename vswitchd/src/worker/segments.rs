//! Packets that the host kernel carries while a next hop is unresolved.

use packet::segment::{MAX_HEADERS, Segments};
use packet::{Frame, ipv4};
use port::RawIp;

/// Gives a complete packet to the kernel, which resolves the next hop and
/// queues it meanwhile. A super-segment is cut first. Says how many packets the
/// kernel did not take. A slow path: it may allocate, and a packet costs a
/// system call.
pub(super) fn carry(raw: &RawIp, frame: &mut Frame) -> u64 {
    if frame.offload.gso.is_none() {
        frame.finish_checksum();
        return send(raw, frame.packet());
    }
    let Ok(mut segments) = Segments::of(frame) else {
        return 1;
    };
    let mut headers = [0; MAX_HEADERS];
    let mut lost = 0;
    while let Some(segment) = segments.next(&mut headers) {
        let bytes = [&headers[..segment.headers_len], segment.payload].concat();
        let mut piece = Frame::from_packet(&bytes);
        piece.offload = segment.offload;
        piece.finish_checksum();
        lost += send(raw, piece.packet());
    }
    lost
}

fn send(raw: &RawIp, packet: &[u8]) -> u64 {
    let sent = ipv4::Header::parse_quoted(packet)
        .ok()
        .and_then(|header| raw.send(packet, header.dst).ok());
    sent.is_none().into()
}
