//! The workers, as taps need them.

use std::sync::Arc;

use crossbeam_channel::Sender;
use dataplane::{Snapshot, Time};

use super::clock::Clock;
use super::command::Command;
use super::shared::Shared;
use crate::tap::{Order, Workers};

/// Tells workers about taps.
pub(super) struct Crew {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: Vec<Sender<Command>>,
    pub(super) clock: Clock,
}

impl Workers for Crew {
    fn count(&self) -> usize {
        self.commands.len()
    }

    fn tell(&self, worker: usize, order: Order) {
        // A worker that is gone has been reported already.
        let _ = self.commands[worker].send(Command::Tap(order));
        self.shared.wakers[worker].wake();
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.snapshot())
    }
}
