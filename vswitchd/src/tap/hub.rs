//! The taps of the daemon: begins them, ends them, says which there are.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use cni_shim::capture::{Capture, Scope, Stage, Stats};
use crossbeam_channel::bounded;
use dataplane::{DropReason, Snapshot, Time};
use packet::bpf::{self, Instruction, Program};

use super::aim::Aim;
use super::flight::Flight;
use super::rings::{Outlet, rings};
use super::stream::Stream;
use super::tap::{Counts, Tap, Wanted};
use super::taps::Order;
use crate::control::View;
use crate::show::full_name;

/// Taps at one time: each costs every worker its rings.
const MOST: usize = 16;
/// A worker gives a tap back between two batches.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest frame, with a header made up for it.
const MOST_SNAP_LEN: usize = 14 + packet::frame::MAX_PACKET;

/// The workers, as taps need them.
pub(crate) trait Workers: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Tells one of them, soon.
    fn tell(&self, worker: usize, order: Order);
    /// Their clock.
    fn now(&self) -> Time;
    /// What they judge under.
    fn snapshot(&self) -> Arc<Snapshot>;
}

/// All taps.
pub struct Hub {
    pub(super) workers: Box<dyn Workers>,
    taps: Mutex<Vec<Running>>,
    next_id: AtomicU64,
    /// Of taps that have ended.
    lost_before: AtomicU64,
    /// The flight recorder, where there is one.
    pub flight: OnceLock<Arc<Flight>>,
}

/// A tap that runs.
struct Running {
    id: u32,
    capture: Capture,
    counts: Vec<Arc<Counts>>,
}

/// One line of `show taps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapRow {
    /// Its number.
    pub id: u32,
    /// What was asked for.
    pub capture: Capture,
    /// What it has seen and lost.
    pub stats: Stats,
}

/// Why a capture is refused.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// Too many of them.
    #[error("{MOST} captures run already; end one (`vswitchctl show taps`)")]
    TooMany,
    /// The scope names nothing here.
    #[error("there is no {scope} on this node; there are {known}")]
    Unknown {
        /// What was asked for.
        scope: Scope,
        /// What could be.
        known: String,
    },
    /// Two pods of that name.
    #[error("pod {name} is in the namespaces {namespaces}: name one, as NAMESPACE/{name}")]
    Ambiguous {
        /// The name.
        name: String,
        /// Where it is.
        namespaces: String,
    },
    /// A reason that no row has.
    #[error("there is no drop reason {found:?}; `vswitchctl show drops -o wide` lists them")]
    Reason {
        /// The word.
        found: String,
    },
    /// Something that makes no sense.
    #[error("{0}")]
    Senseless(&'static str),
    /// The program is refused.
    #[error("filter: {0}")]
    Filter(#[from] bpf::Error),
    /// The kernel gave no thread.
    #[error("no thread for the capture: {0}")]
    Thread(#[from] std::io::Error),
}

impl Hub {
    pub(crate) fn new(workers: Box<dyn Workers>) -> Self {
        Self {
            workers,
            taps: Mutex::default(),
            next_id: AtomicU64::new(1),
            lost_before: AtomicU64::new(0),
            flight: OnceLock::new(),
        }
    }

    /// Begins a tap: it looks from now on. Its records wait for [`Begun::serve`].
    ///
    /// # Errors
    /// [`TapError`]: what is wrong with the request.
    pub fn begin(
        self: &Arc<Self>,
        mut capture: Capture,
        view: &Arc<ArcSwap<View>>,
    ) -> Result<Begun, TapError> {
        let wanted = wanted(&capture)?;
        let aim = aim(&mut capture.scope, &view.load())?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) as u32;
        let counts: Vec<Arc<Counts>> = self.each_worker().map(|_| Arc::default()).collect();
        self.enter(Running {
            id,
            capture,
            counts: counts.clone(),
        })?;
        let mut outlets = Vec::new();
        for (worker, counts) in counts.into_iter().enumerate() {
            let (inlet, outlet) = rings();
            let tap = Tap::new(id, aim.clone(), wanted.clone(), inlet, counts);
            self.workers.tell(worker, Order::Add(Box::new(tap)));
            outlets.push(outlet);
        }
        Ok(Begun {
            hub: Arc::clone(self),
            id,
            aim,
            view: Arc::clone(view),
            outlets,
        })
    }

    fn enter(&self, running: Running) -> Result<(), TapError> {
        let mut taps = self.lock();
        if taps.len() >= MOST {
            return Err(TapError::TooMany);
        }
        taps.push(running);
        Ok(())
    }

    /// Takes a tap from the workers. What was captured stays in the rings.
    pub(super) fn end(&self, id: u32) {
        let (back, returned) = bounded(self.workers.count());
        for worker in self.each_worker() {
            self.workers.tell(worker, Order::Remove(id, back.clone()));
        }
        drop(back);
        // What they give back is freed here.
        while returned.recv_timeout(PATIENCE).is_ok() {}
    }

    /// Forgets a tap that has ended.
    pub(super) fn forget(&self, id: u32) {
        let mut taps = self.lock();
        if let Some(at) = taps.iter().position(|tap| tap.id == id) {
            let lost = taps.swap_remove(at).stats().lost;
            self.lost_before.fetch_add(lost, Ordering::Relaxed);
        }
    }

    /// The same words mean something else now.
    pub(super) fn aim(&self, id: u32, aim: &Aim) {
        for worker in self.each_worker() {
            self.workers.tell(worker, Order::Aim(id, aim.clone()));
        }
    }

    /// What a tap asked for, and has seen.
    pub(super) fn row(&self, id: u32) -> Option<TapRow> {
        self.rows().into_iter().find(|row| row.id == id)
    }

    /// The taps there are.
    #[must_use]
    pub fn rows(&self) -> Vec<TapRow> {
        let taps = self.lock();
        let row = |tap: &Running| TapRow {
            id: tap.id,
            capture: tap.capture.clone(),
            stats: tap.stats(),
        };
        taps.iter().map(row).collect()
    }

    /// Copies lost since the start, by taps that have ended, too.
    #[must_use]
    pub fn lost(&self) -> u64 {
        // Under the lock, or what a tap that ends just now has lost would count twice.
        let taps = self.lock();
        let running: u64 = taps.iter().map(|tap| tap.stats().lost).sum();
        running + self.lost_before.load(Ordering::Relaxed)
    }

    fn each_worker(&self) -> std::ops::Range<usize> {
        0..self.workers.count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Running>> {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn stats(&self) -> Stats {
        let sum = |pick: fn(&Counts) -> u64| self.counts.iter().map(|counts| pick(counts)).sum();
        Stats {
            matched: sum(|counts| counts.matched.get()),
            lost: sum(|counts| counts.lost.get()),
        }
    }
}

/// A tap that looks, and nobody reads yet. Dropped, it ends.
pub struct Begun {
    pub(super) hub: Arc<Hub>,
    pub(super) id: u32,
    pub(super) aim: Aim,
    pub(super) view: Arc<ArcSwap<View>>,
    pub(super) outlets: Vec<Outlet>,
}

impl Begun {
    /// Writes its records to a connection, from a thread of its own, until either side ends.
    ///
    /// # Errors
    /// [`TapError::Thread`].
    pub fn serve(self, connection: UnixStream) -> Result<(), TapError> {
        let thread = std::thread::Builder::new().name(format!("tap-{}", self.id));
        thread.spawn(|| Stream::new(self, connection).run())?;
        Ok(())
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.hub.end(self.id);
        self.hub.forget(self.id);
    }
}

pub(super) fn wanted(capture: &Capture) -> Result<Wanted, TapError> {
    if capture.stages.is_empty() {
        return Err(TapError::Senseless(
            "expected at least one stage, found none",
        ));
    }
    if capture.direction.is_some() && capture.scope == Scope::All {
        return Err(TapError::Senseless(
            "a direction needs a pod or a port to be seen from",
        ));
    }
    if !capture.reasons.is_empty() && !capture.stages.contains(&Stage::Drop) {
        return Err(TapError::Senseless(
            "a reason is a dropped frame's: expected drop among the stages, or no --stage",
        ));
    }
    Ok(Wanted {
        stages: capture.stages.iter().copied().collect(),
        reasons: reasons(&capture.reasons)?,
        direction: capture.direction,
        filter: filter(&capture.filter)?,
        snap_len: match capture.snap_len as usize {
            0 => MOST_SNAP_LEN,
            bytes => bytes.min(MOST_SNAP_LEN),
        },
    })
}

/// One bit a reason; all where none is named.
fn reasons(labels: &[String]) -> Result<u128, TapError> {
    if labels.is_empty() {
        return Ok(u128::MAX);
    }
    labels.iter().try_fold(0, |bits, label| {
        let mut rows = DropReason::TABLE.iter();
        let row = rows.find(|row| row.label == label);
        let row = row.ok_or_else(|| TapError::Reason {
            found: label.clone(),
        })?;
        Ok(bits | 1 << row.reason as u8)
    })
}

fn filter(instructions: &[[u32; 4]]) -> Result<Option<Arc<Program>>, TapError> {
    if instructions.is_empty() {
        return Ok(None);
    }
    let wide = TapError::Senseless("a filter's code is 16 bits and its jumps are 8 bits wide");
    let narrow = |[code, jump_true, jump_false, k]: [u32; 4]| {
        Some(Instruction {
            code: code.try_into().ok()?,
            jump_true: jump_true.try_into().ok()?,
            jump_false: jump_false.try_into().ok()?,
            k,
        })
    };
    let instructions: Option<Vec<Instruction>> = instructions.iter().copied().map(narrow).collect();
    let program = Program::new(&instructions.ok_or(wide)?)?;
    Ok(Some(Arc::new(program)))
}

/// What a scope means. The name of a pod becomes that of one pod for good: one of another namespace may come later.
pub(super) fn aim(scope: &mut Scope, view: &View) -> Result<Aim, TapError> {
    let workloads = || view.desired.workloads.values();
    if let Scope::Pod(name) = scope {
        let called = workloads().filter(|workload| super::aim::is_called(workload, name));
        let namespaces: std::collections::BTreeSet<&str> =
            called.map(|workload| workload.namespace.as_str()).collect();
        if namespaces.len() > 1 {
            let namespaces = Vec::from_iter(namespaces).join(", ");
            let name = name.clone();
            return Err(TapError::Ambiguous { name, namespaces });
        }
        if let (Some(namespace), false) = (namespaces.first(), name.contains('/')) {
            *name = format!("{namespace}/{name}");
        }
    }
    Aim::of(scope, &view.desired).ok_or_else(|| {
        let mut known: Vec<String> = match scope {
            Scope::Port(_) => workloads().map(|pod| pod.host_interface.clone()).collect(),
            _ => workloads().map(full_name).collect(),
        };
        if matches!(scope, Scope::Port(_)) {
            known.extend([crate::host::TUNNEL.into(), view.desired.uplink.name.clone()]);
        }
        known.sort();
        TapError::Unknown {
            scope: scope.clone(),
            known: match known.is_empty() {
                true => "none".into(),
                false => known.join(", "),
            },
        }
    })
}
