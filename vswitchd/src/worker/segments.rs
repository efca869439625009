//! Packets that the host kernel carries while a next hop is unresolved.

use dataplane::{Counters, DropReason};
use packet::segment::{MAX_HEADERS, Segments};
use packet::{Frame, ipv4};
use port::RawIp;

/// Gives a complete packet to the kernel, which resolves the next hop and
/// queues it meanwhile. A super-segment is cut first. A slow path: it may
/// allocate, and a packet costs a system call.
pub(super) fn carry(raw: &RawIp, counters: &Counters, frame: &mut Frame) {
    if frame.offload.gso.is_none() {
        frame.finish_checksum();
        return send(raw, counters, frame.packet());
    }
    let Ok(mut segments) = Segments::of(frame) else {
        return counters.drop(DropReason::UnresolvedNextHop);
    };
    let mut headers = [0; MAX_HEADERS];
    while let Some(segment) = segments.next(&mut headers) {
        let bytes = [&headers[..segment.headers_len], segment.payload].concat();
        let mut piece = Frame::from_packet(&bytes);
        piece.offload = segment.offload;
        piece.finish_checksum();
        send(raw, counters, piece.packet());
    }
}

fn send(raw: &RawIp, counters: &Counters, packet: &[u8]) {
    let sent = ipv4::Header::parse_quoted(packet)
        .ok()
        .and_then(|header| raw.send(packet, header.dst).ok());
    if sent.is_none() {
        counters.drop(DropReason::UnresolvedNextHop);
    }
}
