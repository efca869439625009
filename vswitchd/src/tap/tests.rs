use std::net::Ipv4Addr;
use std::sync::Arc;

use cni_shim::capture::Stage;
use dataplane::{DropReason, PortId, Snapshot, Time};

use super::aim::Aim;
use super::hub::Workers;
use super::rings::{Outlet, rings};
use super::tap::{Counts, Tap, Wanted};
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

/// What a tap of a test has seen.
pub(crate) struct Reader {
    outlet: Outlet,
    counts: Arc<Counts>,
}

impl Reader {
    /// A tap that looks everywhere at a pod, or at a port.
    pub(crate) fn tap(port: PortId, pod: Option<Ipv4Addr>, snap_len: usize) -> (Order, Self) {
        let (inlet, outlet) = rings();
        let counts = Arc::<Counts>::default();
        let wanted = Wanted {
            stages: Stage::ALL.into_iter().collect(),
            reasons: u128::MAX,
            direction: None,
            filter: None,
            snap_len,
        };
        let aim = Aim::at(port, pod);
        let tap = Tap::new(1, aim, wanted, inlet, Arc::clone(&counts));
        (Order::Add(Box::new(tap)), Self { outlet, counts })
    }

    /// Stage and reason of each copy, with its bytes, oldest first.
    pub(crate) fn read(&mut self) -> Vec<(Stage, Option<DropReason>, Vec<u8>)> {
        let mut bytes = Vec::new();
        let mut seen = Vec::new();
        while let Some(sight) = self.outlet.pop(&mut bytes) {
            seen.push((sight.stage, sight.reason, bytes.clone()));
        }
        seen
    }

    /// Matched and lost.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.counts.matched.get(), self.counts.lost.get())
    }
}
