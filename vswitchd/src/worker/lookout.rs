//! Where a worker looks next, and when it sleeps.
//!
//! Three ways to learn of frames: look straight into the ports that something
//! was just sent to, since the answer comes there; ask the poller without
//! waiting, again and again, since waking up costs more than a frame; sleep in
//! the poller. Each of the first two is taken while it has paid, and tried again
//! from time to time. Both are bounded: no port waits for long, and an idle
//! worker sleeps.

mod habit;

use std::io;
use std::time::Duration;

use dataplane::{Counters, PortId, Time};
use port::Poller;

use super::{clock::Clock, load};
use habit::Habit;

/// Turns in a row without asking the poller: what other ports wait for at most.
const GLANCES: u8 = 8;
/// Frames of a request or its answer; more are a stream.
const FEW: usize = 2;
/// To more ports than this the poller is the shorter way.
const EXPECTED: usize = 2;

/// A yield that takes so long has given the CPU to somebody: looking on costs others, and spares no wake-up.
const CROWDED: Duration = Duration::from_micros(2);

/// The poller, and what the worker has learned about its traffic.
pub(super) struct Lookout {
    pub(super) poller: Poller,
    /// Tokens of who has something, or may have; ports use their number.
    ready: Vec<u64>,
    expected: [u64; EXPECTED],
    expected_len: usize,
    /// Turns since the poller was asked.
    glances: u8,
    /// The last turn looked only where something was sent to.
    glanced: bool,
    glancing: Habit,
    spinning: Habit,
    /// How long to look for more frames before sleeping.
    spin: Duration,
    clock: Clock,
}

impl Lookout {
    pub(super) fn new(clock: Clock, spin: Duration) -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            ready: Vec::with_capacity(64),
            expected: [0; EXPECTED],
            expected_len: 0,
            glances: 0,
            glanced: false,
            glancing: Habit::new(),
            spinning: Habit::new(),
            spin,
            clock,
        })
    }

    /// How many had something when last looked.
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// The token of the `at`th of them.
    pub(super) fn token(&self, at: usize) -> u64 {
        self.ready[at]
    }

    /// Whether this one had something.
    pub(super) fn is_ready(&self, token: u64) -> bool {
        self.ready.contains(&token)
    }

    /// Frames went out to these ports: the next may well come from there.
    #[inline]
    pub(super) fn expect(&mut self, ports: &[PortId]) {
        self.expected_len = match ports.len() {
            few @ 0..=EXPECTED => few,
            _ => 0,
        };
        for (token, port) in self.expected.iter_mut().zip(ports) {
            *token = port.0.into();
        }
    }

    /// After a turn that moved frames: finds out who is next, without waiting.
    /// Only a turn that moved few has an answer to wait for: after more than
    /// that everybody gets a turn.
    pub(super) fn glance(&mut self, moved: usize) {
        if std::mem::take(&mut self.glanced) {
            self.glancing.paid();
        }
        let is_worth_it = self.glancing.is_worth_it();
        if !is_worth_it {
            self.glancing.remind();
        }
        if moved > FEW || self.expected_len == 0 || self.glances == GLANCES || !is_worth_it {
            self.glances = 0;
            return self.wait(Duration::ZERO);
        }
        self.glances += 1;
        self.glanced = true;
        self.ready.clear();
        self.ready
            .extend_from_slice(&self.expected[..self.expected_len]);
    }

    /// After a turn that found nothing: waits until there is something, `longest`
    /// at most. How long the worker sleeps is counted.
    pub(super) fn rest(&mut self, longest: Duration, counters: &Counters) {
        if std::mem::take(&mut self.glanced) {
            self.glancing.failed();
        }
        self.glances = 0;
        let start = self.clock.now();
        if self.spinning.is_worth_it() && self.finds_by_spinning(start, longest) {
            return;
        }
        let asleep = self.clock.now();
        counters.asleep_since.set(asleep.as_nanos());
        self.wait(longest.saturating_sub(asleep.since(start)));
        let awake = self.clock.now();
        load::woke(counters, asleep, awake);
        // A frame that came this soon might have been found by looking.
        let was_near = awake.since(start) < self.spin * 2;
        if was_near && !self.ready.is_empty() {
            self.spinning.remind();
        }
    }

    fn finds_by_spinning(&mut self, start: Time, longest: Duration) -> bool {
        loop {
            self.wait(Duration::ZERO);
            if !self.ready.is_empty() {
                self.spinning.paid();
                return true;
            }
            let spun = self.clock.now().since(start);
            if spun >= self.spin {
                self.spinning.failed();
                return false;
            }
            if spun >= longest {
                return false;
            }
            let before = self.clock.now();
            std::thread::yield_now();
            if self.clock.now().since(before) >= CROWDED {
                // Whoever is to answer may be among those that want this CPU.
                self.spinning.failed();
                return false;
            }
        }
    }

    /// Asks the poller.
    pub(super) fn wait(&mut self, longest: Duration) {
        if self.poller.wait(&mut self.ready, Some(longest)).is_err() {
            self.ready.clear();
        }
    }
}

#[cfg(test)]
mod tests;
