//! Connection tracking: the flows one worker knows.
//!
//! A flow is kept once, under a key that is the same for both directions, so a
//! packet of a known flow costs one table lookup whichever way it goes. The
//! table is bounded and allocated up front; when it is full the oldest flow
//! that never got a reply makes room, then the oldest of the others. Open TCP
//! connections are never evicted: a newcomer is refused instead.
//!
//! A flow takes 128 bytes and its places in the index 16 to 32 more: 458,752
//! flows fit in 64 MiB. The table does not grow: all of it is reserved when the
//! worker starts and nothing is ever rehashed, so that the longest a packet waits
//! is for the kernel to hand out one page where the table is used for the first
//! time (`cargo bench --bench flows` prints how long that is). Expiry looks at
//! flows that are due only, a bounded number between two batches.
//!
//! A packet of a known flow touches one line of the index, the first line of the
//! flow, by which it is decided, and the second, where it is counted and which
//! nothing waits for. Where there are many flows the lines of a whole batch are
//! fetched together: [`crate::Local::look_ahead`].
//!
//! There is no TCP window tracking: a packet of a known connection passes with
//! any sequence number. A connection may be picked up in the middle, as
//! netfilter does by default (`nf_conntrack_tcp_loose`), which is what lets
//! flows survive a restart of the daemon.

mod flow;
mod key;
mod lists;
mod state;
mod table;
#[cfg(test)]
mod tests;

pub use flow::{Direction, Flow, FlowId, Way};
pub use state::{Refused, State, Timeouts, Transport};
pub use table::{Conntrack, Full};
