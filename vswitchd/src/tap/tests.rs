use std::sync::Arc;

use dataplane::{Snapshot, Time};

use super::hub::Workers;
use super::{Hub, Order};

struct Nobody;

impl Workers for Nobody {
    fn count(&self) -> usize {
        0
    }

    fn tell(&self, worker: usize, _: Order) {
        panic!("there is no worker {worker}");
    }

    fn now(&self) -> Time {
        Time::default()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        panic!("nobody judges")
    }
}

/// A hub without workers.
pub(crate) fn idle() -> Arc<Hub> {
    Arc::new(Hub::new(Box::new(Nobody)))
}
