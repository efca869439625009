//! Which of the frames that wait at a port the next segment of their connection may be appended to.

use packet::coalesce::Connection;

/// Connections remembered at a time. More of them are seldom seen in one batch with more than a segment each, and looking
/// through these costs a few instructions.
const MANY: usize = 8;

/// The last frame of a connection.
#[derive(Clone, Copy, Default)]
pub(super) struct Head {
    connection: Connection,
    /// Where it stands in the queue.
    pub(super) at: usize,
}

/// The last frames of some connections, at most one of each.
#[derive(Default)]
pub(super) struct Heads {
    heads: [Head; MANY],
    /// How many of them are open, from the front.
    open: usize,
    /// Which one makes room when all are.
    oldest: usize,
}

impl Heads {
    /// The frame that the next segment of this connection may be appended to.
    #[inline]
    pub(super) fn find(&self, connection: Connection) -> Option<Head> {
        let mut open = self.heads[..self.open].iter();
        open.find(|head| head.connection == connection).copied()
    }

    /// Remembers a frame of a connection that has none here.
    #[inline]
    pub(super) fn open(&mut self, connection: Connection, at: usize) {
        let slot = if self.open < MANY {
            self.open += 1;
            self.open - 1
        } else {
            self.oldest = (self.oldest + 1) % MANY;
            self.oldest
        };
        self.heads[slot] = Head { connection, at };
    }

    /// Forgets one.
    #[inline]
    pub(super) fn close(&mut self, closed: Head) {
        let mut open = self.heads[..self.open].iter();
        if let Some(slot) = open.position(|head| head.at == closed.at) {
            self.open -= 1;
            self.heads[slot] = self.heads[self.open];
        }
    }

    /// Forgets all.
    #[inline]
    pub(super) fn close_all(&mut self) {
        self.open = 0;
    }
}
