//! What threads meet by, for [`shared`](super::shared) and [`inbox`](super::inbox).
//!
//! The two import it from here so that their very source can be compiled a second time, by the tests, over the instruments
//! of a model checker (`model/sync.rs`).

pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::{AtomicU32, Ordering};

pub(super) use arc_swap::{ArcSwap, Guard};
pub(super) use crossbeam_queue::ArrayQueue;
pub(super) use dataplane::{Arrived, Counters, Snapshot};
pub(super) use packet::Frame;
pub(super) use port::Waker;
