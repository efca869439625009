//! Frames from one worker to another, and their buffers back.

use loom::thread;

use super::inbox::{Handed, Inbox};
use super::sync::{Arc, Frame, Waker};
use super::{PREEMPTIONS, check, finds};

/// What is done wrong, so that the checker has something to find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slip {
    /// Nothing.
    None,
    /// Who hands over wakes before the frame is in the ring.
    WakesBeforePush,
    /// The owner takes back its wakes after it has looked.
    DrainsAfterLook,
}

/// The ring that frames go into, and the one of each sender that buffers come back by.
struct Rings {
    waker: Waker,
    owner: Inbox,
    senders: Vec<Inbox>,
}

/// As `Worker::hand` and `Worker::flush`, each frame in a turn of its own, and `Worker::exchange`, which takes a buffer if
/// one has come back; says which did.
fn hand(rings: &Rings, sender: usize, frames: u32, slip: Slip) -> Vec<u32> {
    let mut back = Vec::new();
    for number in 0..frames {
        if slip == Slip::WakesBeforePush {
            rings.owner.wake();
        }
        let handed = Handed {
            frame: Frame(number),
            arrived: (),
            from: sender,
        };
        assert_eq!(rings.owner.push(handed), Ok(()), "the ring has room");
        if slip != Slip::WakesBeforePush {
            rings.owner.wake();
        }
        back.extend(rings.senders[sender].take_back().map(|frame| frame.0));
    }
    back
}

/// As `Worker::run` with `Worker::take_handed`; says what came, by sender.
fn take(rings: &Rings, frames: usize, slip: Slip) -> Vec<Vec<u32>> {
    let mut taken = vec![Vec::new(); rings.senders.len()];
    while taken.iter().map(Vec::len).sum::<usize>() < frames {
        rings.waker.sleep();
        if slip != Slip::DrainsAfterLook {
            rings.waker.drain();
        }
        while let Some(Handed { frame, from, .. }) = rings.owner.pop() {
            taken[from].push(frame.0);
            rings.senders[from].give_back(frame);
        }
        if slip == Slip::DrainsAfterLook {
            rings.waker.drain();
        }
    }
    assert!(rings.owner.pop().is_none(), "nothing comes twice");
    taken
}

fn model(senders: usize, frames: u32, slip: Slip) -> impl Fn() + Sync + Send + 'static {
    move || {
        let waker = Waker::new();
        let rings = Arc::new(Rings {
            owner: Inbox::new(waker.clone()),
            senders: (0..senders).map(|_| Inbox::new(Waker::new())).collect(),
            waker,
        });
        let threads: Vec<_> = (0..senders)
            .map(|sender| {
                let rings = Arc::clone(&rings);
                thread::spawn(move || hand(&rings, sender, frames, slip))
            })
            .collect();
        let taken = take(&rings, senders * frames as usize, slip);
        let in_order: Vec<u32> = (0..frames).collect();
        assert!(taken.iter().all(|taken| *taken == in_order), "{taken:?}");
        for (sender, thread) in threads.into_iter().enumerate() {
            let mut back = thread.join().unwrap();
            let rest = std::iter::from_fn(|| rings.senders[sender].take_back());
            back.extend(rest.map(|frame| frame.0));
            assert_eq!(back, in_order, "every buffer comes back once");
        }
    }
}

#[test]
fn no_wake_is_lost_no_frame_lost_or_doubled_and_buffers_return() {
    check(None, model(1, 2, Slip::None));
    check(Some(PREEMPTIONS), model(2, 1, Slip::None));
}

#[test]
fn a_wake_before_the_push_would_be_found() {
    let said = finds(None, model(1, 1, Slip::WakesBeforePush));
    assert!(said.contains("deadlock"), "{said}");
}

#[test]
fn a_wake_taken_back_too_late_would_be_found() {
    let said = finds(None, model(1, 2, Slip::DrainsAfterLook));
    assert!(said.contains("deadlock"), "{said}");
}
