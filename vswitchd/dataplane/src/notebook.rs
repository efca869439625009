//! A walk, written down: what `trace` and the taps read.
//!
//! [`crate::observe`] walks a frame as [`crate::forward`] does and gives the
//! worker's [`Local`](crate::Local) a notebook for that time. The stages of the
//! long way write what they find; the frame itself is copied where a tap may
//! ask for it. A notebook is used again and again: once it has held the most
//! that a walk writes, it allocates nothing.

mod note;
mod observer;

use packet::Offload;
use packet::frame::Frame;

pub use note::{Choice, Forgotten, Note, Told};
pub(crate) use observer::Observer;

/// A walk's usual notes fit; more make the notebook grow, once.
const NOTES: usize = 32;

/// Where on its walk a frame is copied. Rx and tx are not among them: there the
/// caller has the frame in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Conntrack and policy have let it pass and it has a way: decapsulated,
    /// before its TTL is taken down.
    PostPolicy,
    /// It has taken its hop and fits its way: before the outer header, if it
    /// gets one, and the link header. One that must be cut first is still whole.
    PreEncap,
    /// It goes no further: before the ICMP error or TCP reset, if its sender is
    /// owed one, takes its place.
    Drop,
}

impl Point {
    /// All points, in the order of the walk.
    pub const ALL: [Self; 3] = [Self::PostPolicy, Self::PreEncap, Self::Drop];
}

/// A set of [`Point`]s, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points(u8);

impl Points {
    /// Whether it is one of them.
    pub fn has(self, point: Point) -> bool {
        self.0 >> (point as u8) & 1 != 0
    }

    /// Those of either.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Point> for Points {
    fn from_iter<I: IntoIterator<Item = Point>>(points: I) -> Self {
        let bits = points.into_iter().map(|point| 1 << point as u8);
        Self(bits.fold(0, |set, bit| set | bit))
    }
}

/// A frame as it was at one [`Point`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The first bytes, at most as many as the notebook keeps.
    pub bytes: Vec<u8>,
    /// How many bytes of `bytes` are the link header: 0 where it is the bare IP
    /// packet, which it always is but at [`Point::Drop`]. There it is 14 as long
    /// as the frame still has the header it came with, or what a frame shorter
    /// than that had.
    pub link_len: usize,
    /// The true length in bytes, link header included.
    pub len: usize,
    /// What was left to a device; offsets count from the packet.
    pub offload: Offload,
    is_there: bool,
}

impl Seen {
    fn copy(&mut self, frame: &Frame, link_len: usize, snap_len: usize) {
        let bytes = &frame.bytes()[frame.link().len() - link_len..];
        self.bytes.clear();
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(snap_len)]);
        (self.link_len, self.len, self.offload) = (link_len, bytes.len(), frame.offload);
        self.is_there = true;
    }
}

/// What one walk found, stage by stage, and the frame on its way.
#[derive(Debug, Default)]
pub struct Notebook {
    notes: Vec<Note>,
    seen: [Seen; Point::ALL.len()],
    snap_len: usize,
    wanted: Points,
}

impl Notebook {
    /// An empty one that keeps `snap_len` bytes of a frame at each point.
    /// Allocates for all of them, 64 KiB each at most.
    pub fn new(snap_len: usize) -> Self {
        let most = packet::ethernet::HEADER_LEN + packet::frame::MAX_PACKET;
        let snap_len = snap_len.min(most);
        let seen = || Seen {
            bytes: Vec::with_capacity(snap_len),
            ..Seen::default()
        };
        Self {
            notes: Vec::with_capacity(NOTES),
            seen: [seen(), seen(), seen()],
            snap_len,
            wanted: Point::ALL.into_iter().collect(),
        }
    }

    /// Copies the frame at these points only, from the next walk on.
    pub fn want(&mut self, points: Points) {
        self.wanted = points;
    }

    /// Forgets the walk; the room it took stays.
    pub fn clear(&mut self) {
        self.notes.clear();
        for seen in &mut self.seen {
            seen.is_there = false;
        }
    }

    /// What the stages found, in order. The last is [`Note::Ended`].
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The frame as it was at this point, if it came there and that is wanted.
    pub fn at(&self, point: Point) -> Option<&Seen> {
        Some(&self.seen[point as usize]).filter(|seen| seen.is_there)
    }

    /// Why the frame was dropped, also where its sender was sent an answer.
    pub fn refused(&self) -> Option<crate::DropReason> {
        self.notes.iter().find_map(|note| match note {
            Note::Refused(reason) => Some(*reason),
            _ => None,
        })
    }

    /// The first look at a point counts: what takes a dropped frame's place is
    /// another frame.
    fn look(&mut self, point: Point, frame: &Frame) {
        if !self.wanted.has(point) {
            return;
        }
        let link_len = match point {
            Point::Drop => frame.link().len(),
            Point::PostPolicy | Point::PreEncap => 0,
        };
        let seen = &mut self.seen[point as usize];
        if !seen.is_there {
            seen.copy(frame, link_len, self.snap_len);
        }
    }
}
