//! Proofs by exhaustion: the source of [`shared`] and [`inbox`], compiled over the instruments of the model checker loom,
//! which runs a few threads in every interleaving, and with every value an atomic may return, that the memory model of
//! Rust allows.
//!
//! The two files are the production code itself; what they import from `super::sync` is here `model/sync.rs`. What loom
//! cannot see into has a stand-in there, each with what it does not show: `arc_swap` and `crossbeam_queue` are taken to do
//! what they say, and the eventfd of a waker is a flag with a lock. The order of calls is that of `Worker::turn` and
//! `Worker::rest` (`thread.rs`) and of `Switch` (`publish.rs`), repeated in the models and named there.
//!
//! That the models can fail is shown by breaking one thing at a time: [`publication::Slip`], [`hand_off::Slip`].
//!
//! Two threads are explored without bound, three with at most [`PREEMPTIONS`] preemptions in one execution.

#[expect(
    clippy::duplicate_mod,
    dead_code,
    reason = "the production code, compiled over the checker's instruments; where a frame came from and what is counted is not looked at"
)]
#[path = "../inbox.rs"]
mod inbox;
#[expect(
    clippy::duplicate_mod,
    dead_code,
    reason = "the production code, compiled over the checker's instruments; where a frame came from and what is counted is not looked at"
)]
#[expect(
    clippy::arc_with_non_send_sync,
    reason = "whether reads and the freeing are ordered is what the checker finds out"
)]
#[path = "../shared.rs"]
mod shared;
mod sync;

mod hand_off;
#[expect(
    clippy::arc_with_non_send_sync,
    reason = "whether reads and the freeing are ordered is what the checker finds out"
)]
mod publication;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// With three threads: enough for every known lost wake-up and use after free, and done in seconds.
const PREEMPTIONS: usize = 2;

/// Runs a model in every interleaving, with preemptions bounded or not.
fn check(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(model);
}

/// What the checker says when it finds an execution that must not be.
///
/// # Panics
/// It finds none.
fn finds(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) -> String {
    let checked = catch_unwind(AssertUnwindSafe(|| check(preemptions, model)));
    let said = checked.expect_err("the checker must find an execution that fails");
    let text = said.downcast_ref::<String>().cloned();
    text.or_else(|| said.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}
