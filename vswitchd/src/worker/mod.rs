//! The workers: threads that move frames, and how new snapshots reach them.
//!
//! Each worker owns its sockets, its connection table and its counters; the
//! kernel gives it all packets of its flows. What it shares with others is one
//! pointer to the current snapshot, a bounded inbox for frames that reached
//! the wrong worker, and counters that only it writes. [`Switch`] is the
//! control plane's end of it all: it opens ports, compiles snapshots, and
//! knows which generation every worker uses.

mod clock;
mod closer;
mod command;
mod crew;
mod describe;
mod encapsulation;
mod flow_recorder;
mod inbox;
mod lanes;
mod limits;
mod live;
mod load;
mod lookout;
pub mod offline;
mod outbox;
mod policy;
mod ports;
mod publish;
mod relaying;
mod segments;
mod shaper;
mod shared;
mod sync;
mod thread;
mod unfit;

#[cfg(test)]
mod model;

pub use flow_recorder::FlowRecorder;
pub use live::LiveWorkers;
pub(crate) use ports::{HOST, UPLINK, workload_port};
pub(crate) use publish::timeouts;
pub use publish::{Switch, SwitchConfig, SwitchError};
