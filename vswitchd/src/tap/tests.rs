use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cni_shim::capture::Stage;
use crossbeam_channel::{Receiver, bounded};
use dataplane::{DropReason, PortId, Snapshot, Time};

use super::aim::Aim;
use super::flight_ring::FlightRing;
use super::hub::Workers;
use super::recorder::Recorder;
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

/// A worker that is told, and never obeys.
#[derive(Default)]
struct Stuck(Mutex<Vec<Order>>);

impl Workers for Stuck {
    fn count(&self) -> usize {
        1
    }

    fn tell(&self, _: usize, order: Order) {
        self.0.lock().unwrap().push(order);
    }

    fn now(&self) -> Time {
        Time::default()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        panic!("nobody judges")
    }
}

/// A hub with a worker that never gives anything back.
pub(crate) fn stuck() -> Arc<Hub> {
    Arc::new(Hub::new(Box::<Stuck>::default()))
}

/// The flight recorder of a test's worker.
pub(crate) struct Watch {
    alarms: Receiver<DropReason>,
}

impl Watch {
    /// A recorder that waits for drops of one reason.
    pub(crate) fn begin(reason: DropReason) -> (Order, Self) {
        let (alarm, alarms) = bounded(1);
        let recorder = Recorder::new(FlightRing::new(1, 64), &[reason], alarm);
        (Order::Record(Box::new(recorder)), Self { alarms })
    }

    /// Whether it has raised an alarm since the last question.
    pub(crate) fn is_alarmed(&self) -> bool {
        self.alarms.try_recv().is_ok()
    }

    /// Stage and reason of each frame it holds, which are taken from the worker by `obey`.
    pub(crate) fn take(obey: impl FnOnce(Order)) -> Vec<(Stage, Option<DropReason>)> {
        let (back, rings) = bounded(1);
        obey(Order::Exchange(FlightRing::new(1, 64), back));
        let ring = rings.try_recv().unwrap();
        let all = ring.since(Time::default(), Duration::MAX);
        all.map(|(sight, _)| (sight.stage, sight.reason)).collect()
    }
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
