//! Which super-segments in IPIP leave whole, and whether the kernel really takes them.

use std::io;
use std::sync::Arc;

use packet::Protocol;
use packet::frame::{Frame, MAX_PACKET};
use packet::offload::{Checksum, GsoKind};

use crate::Encapsulator;

/// So many super-segments in a row that were refused although their segments are taken, and the device is taken to be
/// unable.
const REFUSALS: u32 = 64;

/// The sender's side of an [`Encapsulator`].
pub(super) struct Tunnelled {
    encapsulator: Option<Arc<Encapsulator>>,
    refused_in_a_row: u32,
}

/// How far the program had counted before a batch was sent.
#[derive(Clone, Copy)]
pub(super) struct Before(u32);

impl Tunnelled {
    pub(super) fn new(encapsulator: Option<Arc<Encapsulator>>) -> Self {
        Self {
            encapsulator,
            refused_in_a_row: 0,
        }
    }

    /// Whether this super-segment in IPIP may be sent whole.
    pub(super) fn takes(&self, frame: &Frame) -> bool {
        let works = |encapsulator: &Arc<Encapsulator>| encapsulator.failure().is_none();
        self.encapsulator.as_ref().is_some_and(works) && is_sound(frame)
    }

    /// To be asked just before a batch is sent.
    pub(super) fn before(&self) -> Before {
        Before(self.encapsulated())
    }

    /// Also after the program was given up: another worker may have done so while frames of ours were under way.
    fn encapsulated(&self) -> u32 {
        let counted = |encapsulator: &Arc<Encapsulator>| encapsulator.encapsulated();
        self.encapsulator.as_ref().map_or(0, counted)
    }

    fn passed_since(&self, before: Before) -> u32 {
        self.encapsulated().wrapping_sub(before.0)
    }

    /// `sent` super-segments in IPIP have left whole: how many of them the program did not see, at least. Those are lost, and
    /// no more are sent whole. (The program counts for all workers, so what another one sends at the same time may stand in
    /// for a lost one here.)
    pub(super) fn unseen(&mut self, before: Before, sent: u32) -> u32 {
        let unseen = sent.saturating_sub(self.passed_since(before));
        self.refused_in_a_row = 0;
        if unseen > 0
            && let Some(encapsulator) = &self.encapsulator
        {
            encapsulator.give_up_unseen();
        }
        unseen
    }

    /// A super-segment in IPIP was not sent because of `error`: whether it is the kind of error that cutting may help
    /// against.
    pub(super) fn is_refusal(&self, before: Before, error: &io::Error) -> bool {
        match error.raw_os_error() {
            Some(libc::EINVAL | libc::ENOMEM | libc::EOPNOTSUPP) => true,
            // A full queue says so too, but only about frames that the program has let through.
            Some(libc::ENOBUFS) => self.passed_since(before) == 0,
            _ => false,
        }
    }

    /// A super-segment was refused because of `error`, and its segments were taken. (Where those are refused too, a
    /// firewall's rule perhaps, the refusal says nothing about super-segments.)
    pub(super) fn cutting_helped(&mut self, error: io::Error) {
        self.refused_in_a_row += 1;
        if let Some(encapsulator) = &self.encapsulator
            && self.refused_in_a_row >= REFUSALS
        {
            encapsulator.give_up_refused(self.refused_in_a_row, error);
        }
    }
}

pub(super) fn is_ipip(frame: &Frame) -> bool {
    let packet = frame.packet();
    packet.first().is_some_and(|first| first >> 4 == 4) && packet.get(9) == Some(&Protocol::IPIP.0)
}

/// What the kernel takes without a question: of a kind it knows, with its checksum left open, more than one segment, and
/// with a total length that is true.
fn is_sound(frame: &Frame) -> bool {
    let offload = &frame.offload;
    let known = |kind| matches!(kind, GsoKind::Tcp4 | GsoKind::UdpL4);
    offload.gso.is_some_and(|gso| known(gso.kind))
        && matches!(offload.checksum, Checksum::Partial { .. })
        && frame.packet_len() <= MAX_PACKET
        && frame.wire_packet_len() < frame.packet_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs the right to attach a program; without it no super-segment in IPIP is ever under way.
    #[test]
    fn frames_under_way_when_another_worker_gives_up_are_counted() {
        let Ok(encapsulator) = Encapsulator::attach("lo", |_| ()) else {
            return;
        };
        let encapsulator = Arc::new(encapsulator);
        let mut tunnelled = Tunnelled::new(Some(Arc::clone(&encapsulator)));
        let before = tunnelled.before();
        encapsulator.give_up_unseen();
        assert_eq!(tunnelled.unseen(before, 3), 3);
    }
}
