//! The drops of one port, by reason.

use crate::counters::Counter;
use crate::drop_reason::DropReason;

/// What one worker dropped at one port. Both ends of a frame's way may count
/// it, so the two are never added up.
#[derive(Debug)]
pub struct PortDrops {
    from: [Counter; DropReason::COUNT],
    toward: [Counter; DropReason::COUNT],
}

impl Default for PortDrops {
    fn default() -> Self {
        let none = || std::array::from_fn(|_| Counter::default());
        Self {
            from: none(),
            toward: none(),
        }
    }
}

impl PortDrops {
    /// Frames that came in by this port.
    pub fn from(&self, reason: DropReason) -> &Counter {
        &self.from[reason as usize]
    }

    /// Frames that were for this port, and were dropped on its account: its
    /// pod's policy, its pod's bandwidth limit, its device.
    pub fn toward(&self, reason: DropReason) -> &Counter {
        &self.toward[reason as usize]
    }

    /// Frames that came in by this port, for all reasons.
    pub fn total_from(&self) -> u64 {
        self.from.iter().map(Counter::get).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_of_what_came_in_here_only() {
        let drops = PortDrops::default();
        drops.from(DropReason::Vlan).add(2);
        drops.from(DropReason::HandOffFull).add(3);
        drops.toward(DropReason::DeviceFull).add(4);
        assert_eq!(drops.total_from(), 5);
        assert_eq!(drops.toward(DropReason::DeviceFull).get(), 4);
        assert_eq!(drops.from(DropReason::DeviceFull).get(), 0);
    }
}
