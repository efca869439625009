//! Flows that have had lanes in vain: whose frames close each lane soon after it was opened. They wait for the next one, each
//! time twice as long, so that they do not take the places of others.

use std::time::Duration;

use dataplane::Time;
use packet::FlowKey;

/// Directions remembered; another flow takes the place of one with the same number here.
const REMEMBERED: usize = 1024;
/// A lane that relayed fewer frames was in vain.
const WORTH_IT: u64 = 1000;
/// The first wait, and how often it is doubled at most.
const FIRST: Duration = Duration::from_millis(50);
const DOUBLED: u8 = 10;

/// Who waits until when.
pub(super) struct Shy(Box<[Option<Waits>]>);

#[derive(Clone, Copy)]
struct Waits {
    whose: FlowKey,
    until: Time,
    doubled: u8,
}

impl Shy {
    pub(super) fn new() -> Self {
        Self(vec![None; REMEMBERED].into())
    }

    /// Whether this direction is to wait still.
    pub(super) fn waits(&self, whose: FlowKey, now: Time) -> bool {
        self.known(whose).is_some_and(|waits| now < waits.until)
    }

    /// A lane of this direction was closed by one of its frames after so many.
    pub(super) fn closed(&mut self, whose: FlowKey, relayed: u64, now: Time) {
        let doubled = match self.known(whose) {
            _ if relayed >= WORTH_IT => {
                self.0[place(whose)] = None;
                return;
            }
            Some(waits) => DOUBLED.min(waits.doubled + 1),
            None => 0,
        };
        self.0[place(whose)] = Some(Waits {
            whose,
            until: now + FIRST * (1 << doubled),
            doubled,
        });
    }

    fn known(&self, whose: FlowKey) -> Option<Waits> {
        self.0[place(whose)].filter(|waits| waits.whose == whose)
    }
}

fn place(key: FlowKey) -> usize {
    let ends = key.src.to_bits().rotate_left(7) ^ key.dst.to_bits();
    let ports = u32::from(key.src_port) << 16 | u32::from(key.dst_port);
    let mixed = (ends ^ ports).wrapping_mul(0x9E37_79B1);
    (mixed >> 16) as usize % REMEMBERED
}

#[cfg(test)]
mod tests {
    use packet::Protocol;

    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    fn flow() -> FlowKey {
        FlowKey {
            src: [10, 0, 0, 1].into(),
            dst: [10, 0, 0, 2].into(),
            src_port: 1000,
            dst_port: 2000,
            protocol: Protocol::TCP,
        }
    }

    #[test]
    fn each_lane_in_vain_makes_it_wait_twice_as_long_up_to_a_minute() {
        let mut shy = Shy::new();
        assert!(!shy.waits(flow(), at(0)));
        for wait in [50, 100, 200, 400] {
            shy.closed(flow(), 10, at(0));
            assert!(shy.waits(flow(), at(wait - 1)), "{wait}");
            assert!(!shy.waits(flow(), at(wait)), "{wait}");
        }
        (0..100).for_each(|_| shy.closed(flow(), 0, at(0)));
        assert!(shy.waits(flow(), at(51_199)) && !shy.waits(flow(), at(51_200)));
    }

    #[test]
    fn after_a_lane_worth_it_it_begins_anew() {
        let mut shy = Shy::new();
        (0..5).for_each(|_| shy.closed(flow(), 0, at(0)));
        shy.closed(flow(), WORTH_IT, at(0));
        assert!(!shy.waits(flow(), at(0)));
        shy.closed(flow(), 0, at(0));
        assert!(!shy.waits(flow(), at(50)));
    }

    #[test]
    fn others_do_not_wait() {
        let mut shy = Shy::new();
        shy.closed(flow(), 0, at(0));
        assert!(!shy.waits(flow().reversed(), at(0)));
    }
}
