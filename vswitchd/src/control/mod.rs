//! What this node should be doing, and who makes it so.
//!
//! `watchers and requests -> Message -> Engine -> DesiredState -> Publisher`. One thread, the
//! [`Engine`], owns every decision; everything else sends it [`Message`]s and reads the [`View`] it
//! leaves behind. What is published is a function of the [`DesiredState`] alone.

mod desired;
mod engine;
mod newcomers;
pub mod path_mtu;
mod policing;
mod publish;
mod relaying;
mod report;
mod segmentation;
mod update;
mod view;
pub mod watch;

pub use desired::{
    BlockRoute, DesiredState, Encapsulation, NextHop, Node, Peer, Seed, Uplink, Workload,
    block_owners,
};
pub use engine::{Engine, HostLinks, Message, Parts};
pub use newcomers::{Newcomers, PodSource};
pub use publish::{
    ConntrackRow, DropRow, Live, PortCounters, PortDropRow, PublishError, Publisher,
};
pub use relaying::Relaying;
pub use report::{WorkerLoad, WorkerReport};
pub use segmentation::Segmentation;
pub use update::Update;
pub use view::{BlockUse, View};
