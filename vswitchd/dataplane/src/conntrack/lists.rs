//! Flows in the order of their last packet, a list a state.
//!
//! All flows of a state have one timeout, so the list's head is the next to
//! expire: expiry looks at no flow that is not due. The links live in the
//! flows themselves.

use super::flow::Flow;
use super::state::State;

/// No flow.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Ends {
    head: u32,
    tail: u32,
}

/// The ends of the lists.
#[derive(Debug)]
pub(super) struct Lists([Ends; State::COUNT]);

impl Default for Lists {
    fn default() -> Self {
        Self(
            [Ends {
                head: NONE,
                tail: NONE,
            }; State::COUNT],
        )
    }
}

impl Lists {
    /// The flow of `state` that had no packet for longest.
    pub(super) fn oldest(&self, state: State) -> Option<u32> {
        Some(self.0[state as usize].head).filter(|slot| *slot != NONE)
    }

    /// Puts the flow at the young end of its state's list.
    pub(super) fn push(&mut self, flows: &mut [Flow], slot: u32) {
        let state = flows[slot as usize].state;
        let ends = &mut self.0[state as usize];
        flows[slot as usize].previous = ends.tail;
        flows[slot as usize].next = NONE;
        if ends.tail == NONE {
            ends.head = slot;
        } else {
            flows[ends.tail as usize].next = slot;
        }
        ends.tail = slot;
    }

    /// Takes the flow out of the list of `state`, in which it is.
    pub(super) fn unlink(&mut self, flows: &mut [Flow], slot: u32, state: State) {
        let Flow { previous, next, .. } = flows[slot as usize];
        let ends = &mut self.0[state as usize];
        match previous {
            NONE => ends.head = next,
            previous => flows[previous as usize].next = next,
        }
        match next {
            NONE => ends.tail = previous,
            next => flows[next as usize].previous = previous,
        }
    }
}
