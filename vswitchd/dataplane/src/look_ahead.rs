//! Bringing near what a batch of frames will look up.
//!
//! With many flows the index entry and the flow of a packet are in no cache,
//! and a walk that waits for one after the other waits twice. Frames of one
//! batch have nothing to do with each other, so that all of their entries can be
//! on the way at once: the loads here depend on none before them, and the
//! processor has as many under way as it can.

use packet::frame::Frame;

use crate::local::Local;
use crate::stage::flow_of;

/// Frames looked at in one go.
const BATCH: usize = 64;
/// With fewer flows than that the tables are near anyway (2 MiB of flows, which
/// is what a core's second cache holds).
const MANY_FLOWS: usize = 16_384;

impl Local {
    /// Say before walking these frames, one after the other, that they are next.
    /// It changes nothing but how soon what they look up is at hand, and costs
    /// next to nothing as long as there are few flows.
    #[inline]
    pub fn look_ahead(&self, frames: &[Frame]) {
        if frames.len() > 1 && self.flows.len() >= MANY_FLOWS {
            frames
                .chunks(BATCH)
                .for_each(|batch| self.bring_near(batch));
        }
    }

    #[inline(never)]
    pub(crate) fn bring_near(&self, batch: &[Frame]) {
        let mut hashes = [0; BATCH];
        let guesses = batch.iter().map(|frame| flow_of::guess(frame.packet()));
        for (hash, key) in hashes.iter_mut().zip(guesses) {
            *hash = key.map_or(0, |key| self.flows.hash(&key));
        }
        self.flows.bring_near(&hashes[..batch.len().min(BATCH)]);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use packet::transport::TcpFlags;
    use packet::{FlowKey, build, ipv4};

    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
    const B: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);

    #[test]
    fn the_key_of_a_plain_packet_is_guessed_right_in_a_tunnel_and_outside() {
        let udp = build::udp(A, B, 4000, 53, b"?");
        let tcp = build::tcp(B, A, 80, 40_000, TcpFlags::ACK, 1, b"");
        for packet in [udp, tcp] {
            let header = ipv4::Header::parse(&packet).unwrap();
            let key = FlowKey::read(&packet, &header).ok();
            assert_eq!(flow_of::guess(&packet), key);
            assert_eq!(flow_of::guess(&build::ipip(B, A, &packet)), key);
        }
    }

    #[test]
    fn what_is_too_short_for_a_key_has_none() {
        let packet = build::ipip(B, A, &build::udp(A, B, 4000, 53, b""));
        for len in 0..44 {
            assert_eq!(flow_of::guess(&packet[..len]), None, "{len} bytes");
        }
    }
}
