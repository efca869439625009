//! The last frames of one worker: a ring that its worker alone writes, the oldest first to go.

use std::time::Duration;

use dataplane::Time;
use packet::bpf::Pieces;

use super::sight::Sight;

/// Frames' first bytes, in slots of one size.
pub(crate) struct FlightRing {
    sights: Vec<Sight>,
    bytes: Vec<u8>,
    snap_len: usize,
    most: usize,
    /// Where the next one goes, once all slots are taken.
    next: usize,
}

impl FlightRing {
    /// A ring of so much memory, asked for here.
    pub(super) fn new(mib: usize, snap_len: usize) -> Self {
        let most = ((mib << 20) / (size_of::<Sight>() + snap_len)).max(1);
        Self {
            sights: Vec::with_capacity(most),
            bytes: vec![0; most * snap_len],
            snap_len,
            most,
            next: 0,
        }
    }

    /// Keeps a frame in the place of the oldest one.
    pub(super) fn put(&mut self, sight: Sight, frame: Pieces<'_>) {
        let link = &frame.link[..frame.link.len().min(self.snap_len)];
        let left = self.snap_len - link.len();
        let packet = &frame.packet[..frame.packet.len().min(left)];
        let captured = link.len() + packet.len();
        let sight = Sight {
            captured: captured as u32,
            ..sight
        };
        let at = self.next;
        match self.sights.get_mut(at) {
            Some(oldest) => *oldest = sight,
            None => self.sights.push(sight),
        }
        let slot = &mut self.bytes[at * self.snap_len..][..captured];
        slot[..link.len()].copy_from_slice(link);
        slot[link.len()..].copy_from_slice(packet);
        self.next = (at + 1) % self.most;
    }

    /// The frames seen at most `before` before `until`, in no order.
    pub(super) fn since(
        &self,
        until: Time,
        before: Duration,
    ) -> impl Iterator<Item = (&Sight, &[u8])> {
        let slots = self.sights.iter().enumerate();
        let recent = slots.filter(move |(_, sight)| until.since(sight.time) <= before);
        recent.map(|(at, sight)| {
            let bytes = &self.bytes[at * self.snap_len..][..sight.captured as usize];
            (sight, bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use cni_shim::capture::Stage;
    use dataplane::PortId;

    use super::*;

    #[test]
    fn the_newest_stay_and_only_recent_ones_are_given() {
        let mut ring = FlightRing::new(1, 64);
        let most = ring.most as u64;
        for second in 0..most + 10 {
            let sight = Sight::new(Time::from_secs(second), Stage::Rx, PortId(1));
            let packet = second.to_be_bytes();
            ring.put(
                sight,
                Pieces {
                    link: &[1; 14],
                    packet: &packet,
                },
            );
        }
        let until = Time::from_secs(most + 9);
        let all = Duration::from_secs(most * 2);
        assert_eq!(ring.since(until, all).count() as u64, most);
        let mut last: Vec<u64> = ring
            .since(until, Duration::from_secs(4))
            .map(|(_, bytes)| u64::from_be_bytes(bytes[14..].try_into().unwrap()))
            .collect();
        last.sort_unstable();
        assert_eq!(last, Vec::from_iter(most + 5..most + 10));
    }

    #[test]
    fn no_more_than_a_slot_is_kept_of_a_frame() {
        let mut ring = FlightRing::new(1, 64);
        let sight = Sight::new(Time::default(), Stage::Rx, PortId(1));
        ring.put(
            sight,
            Pieces {
                link: &[1; 14],
                packet: &[2; 1500],
            },
        );
        ring.put(
            sight,
            Pieces {
                link: &[3; 14],
                packet: &[],
            },
        );
        let kept: Vec<usize> = ring
            .since(Time::default(), Duration::ZERO)
            .map(|(_, bytes)| bytes.len())
            .collect();
        assert_eq!(kept, [64, 14]);
    }
}
