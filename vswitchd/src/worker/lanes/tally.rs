//! What of each lane's frames has been counted in its flow, for the flow log to ask in between.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dataplane::Relayed;
use port::{Arrives, RelayCounts};

use super::Carrier;

/// Bytes of a link header, and of an outer IPv4 header, before the packet.
const LINK: u64 = packet::ethernet::HEADER_LEN as u64;
const OUTER: u64 = packet::ipv4::HEADER_LEN as u64;

/// One place for each lane of a worker, which alone uses it.
pub(super) struct Tally {
    relay: Arc<dyn Carrier>,
    first: u16,
    counted: Box<[Counted]>,
}

#[derive(Default)]
struct Counted {
    frames: AtomicU64,
    /// As the frames came.
    bytes: AtomicU64,
    /// Bytes before the packet in each.
    before: AtomicU64,
}

/// What a lane relayed since it was last counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) frames: u64,
    /// As the frames came.
    pub(super) rx_bytes: u64,
    /// As they left.
    pub(super) tx_bytes: u64,
    /// From the (inner) IP header on.
    pub(super) packet_bytes: u64,
}

impl Tally {
    pub(super) fn new(relay: Arc<dyn Carrier>, first: u16, count: u16) -> Self {
        Self {
            relay,
            first,
            counted: (0..count).map(|_| Counted::default()).collect(),
        }
    }

    /// Another lane begins at this place.
    pub(super) fn begin(&self, number: u16, arrives: Arrives) {
        let counted = &self.counted[usize::from(number)];
        let outer = match arrives {
            Arrives::Plain { .. } => 0,
            Arrives::Tunnel { .. } => OUTER,
        };
        counted.frames.store(0, Relaxed);
        counted.bytes.store(0, Relaxed);
        counted.before.store(LINK + outer, Relaxed);
    }

    /// What is new, which then counts as counted; and all that the program has counted.
    pub(super) fn take(&self, number: u16) -> (News, RelayCounts) {
        let (news, counts) = self.look(number);
        // The program counts a frame before its bytes: without a new frame, they are the last one's, and the next look's.
        if news.frames > 0 {
            let counted = &self.counted[usize::from(number)];
            counted.frames.store(counts.packets, Relaxed);
            counted.bytes.store(counts.bytes, Relaxed);
        }
        (news, counts)
    }

    fn look(&self, number: u16) -> (News, RelayCounts) {
        let counts = self.relay.counts(self.first + number);
        let counted = &self.counted[usize::from(number)];
        let frames = counts.packets - counted.frames.load(Relaxed);
        let rx_bytes = counts.bytes - counted.bytes.load(Relaxed);
        let before = counted.before.load(Relaxed);
        let news = News {
            frames,
            rx_bytes,
            tx_bytes: rx_bytes.saturating_sub(frames * (before - LINK)),
            packet_bytes: rx_bytes.saturating_sub(frames * before),
        };
        (news, counts)
    }
}

/// The flow log's way to a tally.
pub(super) struct Asked(pub(super) Arc<Tally>);

impl Relayed for Asked {
    fn uncredited(&self, lane: NonZeroU16) -> (u64, u64) {
        let (news, _) = self.0.look(lane.get() - 1);
        (news.frames, news.packet_bytes)
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}
