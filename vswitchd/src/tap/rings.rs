//! The rings between a tap at a worker and its stream: what was seen, and the bytes of it.
//!
//! Both are bounded, made once, and have one writer and one reader. The bytes are written first: who finds a [`Sight`] finds
//! its bytes.

use dataplane::Time;
use packet::bpf::Pieces;
use rtrb::{Consumer, Producer, RingBuffer};

use super::sight::Sight;

/// Frames that wait at most.
const SIGHTS: usize = 32 * 1024;
/// Bytes of frames that wait at most.
const BYTES: usize = 16 << 20;

/// The worker's ends.
pub(super) struct Inlet {
    sights: Producer<Sight>,
    bytes: Producer<u8>,
}

/// The stream's ends.
pub(super) struct Outlet {
    sights: Consumer<Sight>,
    bytes: Consumer<u8>,
}

/// A pair of rings. The memory is asked for here and becomes resident as it is used.
pub(super) fn rings() -> (Inlet, Outlet) {
    let (to_sights, sights) = RingBuffer::new(SIGHTS);
    let (to_bytes, bytes) = RingBuffer::new(BYTES);
    let inlet = Inlet {
        sights: to_sights,
        bytes: to_bytes,
    };
    (inlet, Outlet { sights, bytes })
}

impl Inlet {
    /// Copies the first bytes of a frame; false, and nothing happens, when there is no room.
    pub(super) fn push(&mut self, sight: Sight, frame: Pieces<'_>, snap_len: usize) -> bool {
        let link = &frame.link[..frame.link.len().min(snap_len)];
        let packet = &frame.packet[..frame.packet.len().min(snap_len - link.len())];
        let captured = link.len() + packet.len();
        if self.sights.is_full() || self.bytes.slots() < captured {
            return false;
        }
        let sight = Sight {
            captured: captured as u32,
            ..sight
        };
        self.bytes.push_entire_slice(link).is_ok()
            && self.bytes.push_entire_slice(packet).is_ok()
            && self.sights.push(sight).is_ok()
    }
}

impl Outlet {
    /// When the oldest frame that waits was seen.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.sights.peek().ok().map(|sight| sight.time)
    }

    /// Takes the oldest frame out, its bytes into `bytes`.
    pub(super) fn pop(&mut self, bytes: &mut Vec<u8>) -> Option<Sight> {
        let sight = self.sights.pop().ok()?;
        bytes.clear();
        let chunk = self.bytes.read_chunk(sight.captured as usize).ok()?;
        let (first, second) = chunk.as_slices();
        bytes.extend_from_slice(first);
        bytes.extend_from_slice(second);
        chunk.commit_all();
        Some(sight)
    }
}
