//! Publication and retirement of snapshots.

use std::sync::atomic::AtomicU32 as PlainU32;
use std::sync::atomic::Ordering::SeqCst;

use dataplane::Generation;
use loom::thread;

use super::shared::{Retired, Shared};
use super::sync::{Arc, Snapshot, Waker, be_worker};
use super::{PREEMPTIONS, check, finds};

/// What is done wrong, so that the checker has something to find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slip {
    /// Nothing.
    None,
    /// A worker reports the new snapshot while it still works under the old one.
    ReportsBeforeDone,
    /// A worker takes back its wakes after it took the snapshot.
    DrainsAfterLook,
    /// The publisher does not keep what workers may still use.
    KeepsNothing,
}

/// What the publisher has promised: every packet is judged under this generation or a later one. The checker does not see
/// it; it is the truth.
type Promise = Arc<PlainU32>;

/// As `Worker::run`: rest, then a turn, until the last generation is in use.
fn work(shared: &Shared, index: usize, promise: &Promise, last: u32, slip: Slip) {
    be_worker();
    let mut held: Option<Arc<Snapshot>> = None;
    loop {
        shared.wakers[index].sleep();
        if slip != Slip::DrainsAfterLook {
            shared.wakers[index].drain();
        }
        let world = shared.snapshot();
        if slip == Slip::DrainsAfterLook {
            shared.wakers[index].drain();
        }
        let generation = world.generation;
        if slip == Slip::ReportsBeforeDone {
            shared.report(index, generation);
            judge(held.as_deref().unwrap_or(&world), promise);
            held = Some(world);
        } else {
            judge(&world, promise);
            shared.report(index, generation);
        }
        if generation.0 == last {
            return;
        }
    }
}

/// A packet, with room for others to step in between.
fn judge(world: &Snapshot, promise: &Promise) {
    let promised = promise.load(SeqCst);
    assert!(
        world.generation.0 >= promised,
        "judged under {} when {promised} was promised",
        world.generation.0
    );
    world.read();
    thread::yield_now();
    world.read();
}

/// As `Switch::publish` for two generations, then `Switch::wait`, upon which ADD answers.
fn publish(shared: &Shared, promise: &Promise, slip: Slip) {
    let mut retired = Retired::default();
    for generation in [2, 3] {
        let before = shared.publish(Snapshot::new(generation));
        if slip == Slip::KeepsNothing {
            drop(before);
        } else {
            retired.keep(before);
        }
        retired.reclaim(shared);
    }
    // Who sleeps for ever is seen when nobody else is awake.
    if slip == Slip::DrainsAfterLook {
        return std::mem::forget(retired);
    }
    while shared.oldest_used() < Generation(3) {
        thread::yield_now();
    }
    promise.store(3, SeqCst);
    retired.reclaim(shared);
}

fn model(workers: usize, slip: Slip) -> impl Fn() + Sync + Send + 'static {
    move || {
        let wakers = (0..workers).map(|_| Waker::new()).collect();
        let shared = Arc::new(Shared::new(Snapshot::new(1), wakers));
        let promise = Promise::default();
        let threads: Vec<_> = (0..workers)
            .map(|index| {
                let (shared, promise) = (Arc::clone(&shared), Arc::clone(&promise));
                thread::spawn(move || work(&shared, index, &promise, 3, slip))
            })
            .collect();
        publish(&shared, &promise, slip);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn no_worker_frees_a_snapshot_or_works_under_a_retired_one() {
    check(None, model(1, Slip::None));
    check(Some(PREEMPTIONS), model(2, Slip::None));
}

#[test]
fn a_report_before_the_work_is_done_would_be_found() {
    let said = finds(None, model(1, Slip::ReportsBeforeDone));
    let expected = [
        "a worker frees generation",
        "was promised",
        "Causality violation",
    ];
    assert!(expected.iter().any(|words| said.contains(words)), "{said}");
}

#[test]
fn a_wake_taken_back_too_late_would_be_found() {
    let said = finds(None, model(1, Slip::DrainsAfterLook));
    assert!(said.contains("deadlock"), "{said}");
}

#[test]
fn a_snapshot_that_nobody_keeps_would_be_found() {
    let said = finds(None, model(1, Slip::KeepsNothing));
    assert!(said.contains("a worker frees generation"), "{said}");
}
