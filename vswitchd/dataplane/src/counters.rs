//! Counters: written by one worker, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::drop_reason::DropReason;
use crate::port_drops::PortDrops;

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
    /// Frames that came in here, or were to leave here, and were dropped.
    pub drops: PortDrops,
    /// Frames lost before the walk could see them: the worker read too slowly
    /// for the kernel's queue, or could not read what the frame was.
    pub missed: Counter,
}

/// One counter of a worker.
#[derive(Clone, Copy, Debug)]
pub struct CounterRow {
    /// Its name: `snake_case`.
    pub name: &'static str,
    /// What it counts.
    pub sentence: &'static str,
    /// Its place.
    pub of: fn(&Counters) -> &Counter,
}

macro_rules! counters {
    ($($name:ident $sentence:literal)*) => {
        /// What one worker counted in all.
        #[derive(Debug)]
        pub struct Counters {
            drops: [Counter; DropReason::COUNT],
            $(#[doc = $sentence] pub $name: Counter,)*
        }

        impl Default for Counters {
            fn default() -> Self {
                Self {
                    drops: std::array::from_fn(|_| Counter::default()),
                    $($name: Counter::default(),)*
                }
            }
        }

        impl Counters {
            /// Every counter but those of drops.
            pub const TABLE: &'static [CounterRow] = &[
                $(CounterRow {
                    name: stringify!($name),
                    sentence: $sentence,
                    of: |counters| &counters.$name,
                },)*
            ];
        }
    };
}

counters! {
    flows "Flows in the table now."
    flows_created "Flows put into the table."
    flows_expired "Flows that timed out."
    flows_evicted "Flows thrown out because the table was full."
    flows_orphaned "Flows forgotten because the pod at one end is gone."
    flows_cut "Flows cut because a new policy denies them."
    flows_kept "Flows that a new policy denies and lets go on."
    icmp_sent "ICMP errors sent, those for policy not among them."
    icmp_limited "ICMP errors not sent for the rate limit."
    rejects_sent "Packets denied by policy whose sender was told, by a TCP reset or an ICMP error."
    rejects_limited "Packets denied by policy whose sender was not told for the rate limit."
    arp_answered "ARP requests answered."
    handed_off "Frames handed to the worker that owns their flow."
    lanes "Directions of settled flows whose frames the kernel relays, or soon will."
    relayed "Frames that the kernel relayed from port to port; all other counters count them, too."
    asleep_nanos "Nanoseconds the worker has slept, the sleep that goes on not among them."
    asleep_since "When the sleep that goes on began, by the workers' clock in nanoseconds; 0 while awake."
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
