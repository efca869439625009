//! Counters: written by one worker, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::drop_reason::DropReason;

/// A counter with exactly one writing thread.
///
/// Writing is a plain load, add and store: no locked instruction, as the
/// worker that owns it is the only writer. Reading gives some recent value.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning worker may call this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Makes it `total`. Only the owning worker may call this.
    pub fn set(&self, total: u64) {
        self.0.store(total, Relaxed);
    }

    /// A recent value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one worker counted at one port; rx and tx as seen from the switch.
#[derive(Debug, Default)]
pub struct PortCounters {
    /// Frames taken from the device. A super-segment counts as one.
    pub rx_frames: Counter,
    /// Bytes taken from the device, link header included.
    pub rx_bytes: Counter,
    /// Frames given to the device.
    pub tx_frames: Counter,
    /// Bytes given to the device, link header included.
    pub tx_bytes: Counter,
    /// TCP segments given to the device as part of the frame before them.
    pub tx_coalesced: Counter,
    /// Frames that came in here and were dropped.
    pub drops: Counter,
    /// Frames lost before the walk could see them: the worker read too slowly
    /// for the kernel's queue, or could not read what the frame was.
    pub missed: Counter,
}

/// What one worker counted in all.
#[derive(Debug)]
pub struct Counters {
    drops: [Counter; DropReason::COUNT],
    /// Flows put into the table.
    pub flows_created: Counter,
    /// Flows thrown out because the table was full.
    pub flows_evicted: Counter,
    /// Flows that timed out.
    pub flows_expired: Counter,
    /// Forgotten because the pod at one end is gone.
    pub flows_orphaned: Counter,
    /// Flows in the table now.
    pub flows: Counter,
    /// Flows cut because a new policy denies them.
    pub flows_cut: Counter,
    /// Flows that a new policy denies and lets go on.
    pub flows_kept: Counter,
    /// ICMP errors sent, those for policy not among them.
    pub icmp_sent: Counter,
    /// ICMP errors not sent for the rate limit.
    pub icmp_limited: Counter,
    /// Packets denied by policy whose sender was told, by a TCP reset or an
    /// ICMP error.
    pub rejects_sent: Counter,
    /// The same, not told for the rate limit.
    pub rejects_limited: Counter,
    /// ARP requests answered.
    pub arp_answered: Counter,
    /// Frames handed to the worker that owns their flow.
    pub handed_off: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            drops: std::array::from_fn(|_| Counter::default()),
            flows_created: Counter::default(),
            flows_evicted: Counter::default(),
            flows_expired: Counter::default(),
            flows_orphaned: Counter::default(),
            flows: Counter::default(),
            flows_cut: Counter::default(),
            flows_kept: Counter::default(),
            icmp_sent: Counter::default(),
            icmp_limited: Counter::default(),
            rejects_sent: Counter::default(),
            rejects_limited: Counter::default(),
            arp_answered: Counter::default(),
            handed_off: Counter::default(),
        }
    }
}

impl Counters {
    /// Counts one frame dropped for `reason`.
    #[inline]
    pub fn drop(&self, reason: DropReason) {
        self.drops[reason as usize].add(1);
    }

    /// Counts `n` frames dropped for `reason`.
    pub fn drop_many(&self, reason: DropReason, n: u64) {
        self.drops[reason as usize].add(n);
    }

    /// How many frames were dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize].get()
    }
}
