use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cni_shim::capture::{Capture, Direction, Scope, Stage};
use crossbeam_channel::{Receiver, bounded};
use dataplane::{DropReason, PortId, Snapshot, Time};

use super::aim::Aim;
use super::flight_ring::FlightRing;
use super::hub::{TapError, Workers, wanted};
use super::recorder::Recorder;
use super::rings::{Outlet, rings};
use super::tap::{Counts, Tap, Wanted};
use super::{Hub, Order};

mod follow;

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
        Self::tap_of(Aim::at(port, pod), snap_len, &Stage::ALL, None)
    }

    /// A tap on a pod, or on a port, at these stages, one way only.
    pub(crate) fn tap_at(
        port: PortId,
        pod: Option<Ipv4Addr>,
        stages: &[Stage],
        direction: Option<Direction>,
    ) -> (Order, Self) {
        Self::tap_of(Aim::at(port, pod), 64, stages, direction)
    }

    fn tap_of(
        aim: Aim,
        snap_len: usize,
        stages: &[Stage],
        direction: Option<Direction>,
    ) -> (Order, Self) {
        let (inlet, outlet) = rings();
        let counts = Arc::<Counts>::default();
        let wanted = Wanted {
            stages: stages.iter().copied().collect(),
            reasons: u128::MAX,
            direction,
            filter: None,
            snap_len,
        };
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

fn capture(stages: &[Stage], reasons: &[&str], snap_len: u32) -> Capture {
    Capture {
        scope: Scope::All,
        stages: stages.to_vec(),
        reasons: reasons.iter().map(ToString::to_string).collect(),
        direction: None,
        filter: Vec::new(),
        expression: String::new(),
        snap_len,
    }
}

#[test]
fn a_snap_length_of_zero_is_the_whole_frame() {
    let most = |snap_len| {
        wanted(&capture(&[Stage::Rx], &[], snap_len))
            .unwrap()
            .snap_len
    };
    assert_eq!(most(0), 14 + packet::frame::MAX_PACKET);
    assert_eq!(most(u32::MAX), most(0));
    assert_eq!(most(1), 1);
}

#[test]
fn a_reason_without_the_stage_of_drops_is_refused() {
    let refused = |stages: &[Stage]| wanted(&capture(stages, &["policy_ingress"], 64));
    let error = refused(&[Stage::Rx, Stage::Tx]).unwrap_err();
    assert!(matches!(error, TapError::Senseless(_)), "{error}");
    assert!(
        error.to_string().contains("drop among the stages"),
        "{error}"
    );
    assert!(refused(&[Stage::Rx, Stage::Drop]).is_ok());
}
