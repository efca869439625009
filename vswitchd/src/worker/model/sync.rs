//! The instruments of the models: what [`shared`](super::shared) and [`inbox`](super::inbox) import from `super::sync`.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Mutex as Plain, MutexGuard as PlainGuard, PoisonError};

use dataplane::Generation;
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicUsize;
use loom::sync::{Condvar, Mutex, MutexGuard};

pub(super) use dataplane::Counters;
pub(super) use loom::sync::atomic::{AtomicU32, Ordering};
/// The plain one: the checker does not see it, so its count orders nothing, and what orders reads before the freeing must
/// be the protocol.
pub(super) use std::sync::Arc;

loom::thread_local! {
    static IS_WORKER: Cell<bool> = Cell::new(false);
}

/// From here on this thread is a worker's, which may not free a snapshot.
pub(super) fn be_worker() {
    IS_WORKER.with(|is_worker| is_worker.set(true));
}

/// A snapshot of which only the generation and the memory matter.
pub(super) struct Snapshot {
    pub(super) generation: Generation,
    memory: UnsafeCell<()>,
}

impl Snapshot {
    pub(super) fn new(generation: u32) -> Self {
        Self {
            generation: Generation(generation),
            memory: UnsafeCell::new(()),
        }
    }

    /// A read of its memory: the checker demands that it happens before the freeing.
    pub(super) fn read(&self) {
        self.memory.with(|_| ());
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // An execution that fails is taken apart outside the model.
        if std::thread::panicking() {
            return;
        }
        let by_worker = IS_WORKER.with(Cell::get);
        assert!(
            !by_worker,
            "a worker frees generation {}",
            self.generation.0
        );
        self.memory.with_mut(|_| ());
    }
}

/// Stands for `arc_swap`'s guard: counted, where the real one need not be.
pub(super) type Guard<T> = T;

/// Stands for `arc_swap::ArcSwap`: one atomic step that gives the newest pointer and counts it. Not shown: how the crate
/// does that. Loading acquires and does not release, as weak as the crate promises to be.
pub(super) struct ArcSwap<T> {
    current: AtomicUsize,
    all: Plain<Vec<Option<Arc<T>>>>,
}

impl<T> ArcSwap<T> {
    pub(super) fn from_pointee(first: T) -> Self {
        Self {
            current: AtomicUsize::new(0),
            all: Plain::new(vec![Some(Arc::new(first))]),
        }
    }

    pub(super) fn load(&self) -> Guard<Arc<T>> {
        // A read-modify-write reads the newest value; the checker lets nobody in before the clone.
        let at = self.current.fetch_add(0, Ordering::Acquire);
        self.all()[at].clone().expect("the one in force is held")
    }

    pub(super) fn swap(&self, next: Arc<T>) -> Arc<T> {
        let at = {
            let mut all = self.all();
            all.push(Some(next));
            all.len() - 1
        };
        let before = self.current.swap(at, Ordering::AcqRel);
        self.all()[before].take().expect("it was in force")
    }

    fn all(&self) -> PlainGuard<'_, Vec<Option<Arc<T>>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for `port::Waker`, an eventfd and the epoll that waits for it: a flag with a lock, as the kernel has one. The
/// wait has no time-out, so a wake that is lost is a deadlock, which the checker finds.
#[derive(Clone)]
pub(super) struct Waker {
    event: Arc<Event>,
}

struct Event {
    pending: Mutex<bool>,
    rung: Condvar,
}

impl Waker {
    pub(super) fn new() -> Self {
        let event = Event {
            pending: Mutex::new(false),
            rung: Condvar::new(),
        };
        Self {
            event: Arc::new(event),
        }
    }

    pub(super) fn wake(&self) {
        *self.pending() = true;
        self.event.rung.notify_one();
    }

    pub(super) fn drain(&self) -> bool {
        std::mem::take(&mut *self.pending())
    }

    /// What the poller does: returns when the waker is readable, and leaves it so.
    pub(super) fn sleep(&self) {
        let mut pending = self.pending();
        while !*pending {
            pending = self.event.rung.wait(pending).expect("nobody panics");
        }
    }

    fn pending(&self) -> MutexGuard<'_, bool> {
        self.event.pending.lock().expect("nobody panics")
    }
}

/// Stands for `crossbeam_queue::ArrayQueue`: a bounded queue behind a lock. Not shown: how the crate does without one.
pub(super) struct ArrayQueue<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
}

impl<T> ArrayQueue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            items: Mutex::new(VecDeque::new()),
            capacity,
        }
    }

    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock().expect("nobody panics");
        if items.len() == self.capacity {
            return Err(item);
        }
        items.push_back(item);
        Ok(())
    }

    pub(super) fn pop(&self) -> Option<T> {
        self.items.lock().expect("nobody panics").pop_front()
    }
}

/// Where a frame came from: of no matter to a ring.
pub(super) type Arrived = ();

/// A frame of which only the buffer matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame(pub(super) u32);
