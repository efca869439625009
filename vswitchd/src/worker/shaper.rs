//! Frames whose pod has a bandwidth limit and which must wait for their tokens.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use dataplane::{Bandwidth, PortId, Snapshot, Time};
use packet::Frame;

/// Longest wait in the shaper: as the latency of the `bandwidth` plugin's tbf
/// (25 ms), doubled for what a super-segment takes.
const PATIENCE: Duration = Duration::from_millis(50);
/// Frames that wait at once, all ports together.
const CAPACITY: usize = 128;

/// Delays frames until their departure time, in order for each limit.
#[derive(Default)]
pub(super) struct Shaper {
    waiting: BinaryHeap<Reverse<Waiting>>,
    sequence: u64,
}

struct Waiting {
    departure: Time,
    sequence: u64,
    from: PortId,
    to: PortId,
    frame: Frame,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.departure, self.sequence).cmp(&(other.departure, other.sequence))
    }
}

/// What the limits of both ends say about a frame.
pub(super) enum Verdict {
    /// It may leave at once.
    Now,
    /// It has to wait until then.
    At(Time),
    /// No room within the burst and the queue.
    Never {
        /// Of the limit of who is to receive it, not of its sender's.
        by_receiver: bool,
    },
}

impl Shaper {
    pub(super) fn new() -> Self {
        Self {
            waiting: BinaryHeap::with_capacity(CAPACITY),
            sequence: 0,
        }
    }

    /// When a frame from one port to another may leave. Ports without limits,
    /// the common case, cost two look-ups.
    pub(super) fn judge(
        &self,
        world: &Snapshot,
        now: Time,
        from: PortId,
        to: PortId,
        frame: &Frame,
    ) -> Verdict {
        if from == to {
            return Verdict::Now; // the switch's own answers
        }
        let egress = world
            .workload(from)
            .and_then(|from| from.egress_limit.as_ref());
        let ingress = world.workload(to).and_then(|to| to.ingress_limit.as_ref());
        if egress.is_none() && ingress.is_none() {
            return Verdict::Now;
        }
        // With no place to wait in, nothing is charged that would have to wait.
        let room = self.waiting.len() < CAPACITY;
        let patience = if room { PATIENCE } else { Duration::ZERO };
        let bytes = frame.bytes().len();
        let mut departure = now;
        let mut charged: Option<&Bandwidth> = None;
        for (limit, by_receiver) in [(egress, false), (ingress, true)] {
            let Some(limit) = limit else { continue };
            let Some(time) = limit.departure(now, bytes, patience) else {
                charged.inspect(|charged| charged.refund(bytes));
                return Verdict::Never { by_receiver };
            };
            departure = departure.max(time);
            charged = Some(limit);
        }
        match departure <= now {
            true => Verdict::Now,
            false => Verdict::At(departure),
        }
    }

    /// Holds a frame from one port to another until `departure`.
    pub(super) fn hold(&mut self, departure: Time, from: PortId, to: PortId, frame: Frame) {
        self.sequence += 1;
        self.waiting.push(Reverse(Waiting {
            departure,
            sequence: self.sequence,
            from,
            to,
            frame,
        }));
    }

    /// The next frame whose time has come: where from, where to.
    pub(super) fn due(&mut self, now: Time) -> Option<(PortId, PortId, Frame)> {
        if self.waiting.peek()?.0.departure > now {
            return None;
        }
        let Reverse(due) = self.waiting.pop()?;
        Some((due.from, due.to, due.frame))
    }

    /// How long until the next frame's time comes.
    pub(super) fn next_in(&self, now: Time) -> Option<Duration> {
        self.waiting.peek().map(|next| next.0.departure.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_leave_in_the_order_of_their_time_and_not_before() {
        let mut shaper = Shaper::new();
        let at = |ms| Time::from_nanos(ms * 1_000_000);
        for (ms, port) in [(30_u64, 3_u16), (10, 1), (10, 2)] {
            shaper.hold(
                at(ms),
                PortId(9),
                PortId(port),
                Frame::from_packet(&[port.to_be_bytes()[1]]),
            );
        }
        assert!(shaper.due(at(9)).is_none());
        assert_eq!(shaper.next_in(at(9)), Some(Duration::from_millis(1)));
        let order: Vec<u16> = std::iter::from_fn(|| shaper.due(at(40)))
            .map(|(_, to, _)| to.0)
            .collect();
        assert_eq!(order, [1, 2, 3]);
        assert_eq!(shaper.next_in(at(40)), None);
    }
}
