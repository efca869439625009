//! UDP packet rates by the bench's own generator and sink.

use std::{thread, time::Duration};

use super::{Figures, GRACE, server_address};
use crate::run::{
    agent::{blast::Sent, sink::Received},
    error::{Error, Result},
    job::Job,
    machine,
    world::World,
};

/// A payload that makes a frame of 64 bytes with its checksum: 14 Ethernet, 20 IP, 8 UDP, 4 FCS.
const SMALL: &str = "18";
/// The simple IMIX, 7 : 4 : 1 of 64, 594 and, for lack of room in a tunnel, 1468 bytes, in an order that mixes them.
const IMIX: &str = "18,548,18,18,548,18,1422,18,548,18,548,18";
/// The rate at which CPU time is taken.
const STEADY_PER_SECOND: u64 = 50_000;
/// What is still on its way when the generator stops.
const SETTLE: Duration = Duration::from_millis(50);
/// The search ends when the answer is known to this share of it.
const RESOLUTION: f64 = 0.05;
/// Trials of a search at most.
const TRIALS: u32 = 12;

/// Overload for the rate; for the CPU time a rate that is the same for all, because at overload all CPUs are busy.
pub(super) fn small(world: &World, length: Duration) -> Result<Figures> {
    let mut range = Range::open(world)?;
    let overload = range.trial(length, None, SMALL)?;
    let steady = range.trial(length, Some(STEADY_PER_SECOND), SMALL)?;
    Ok(vec![
        ("udp64", overload.delivered_per_second() / 1e3),
        ("udp64-cpu", steady.cpu_per_million()?),
    ])
}

pub(super) fn imix(world: &World, length: Duration) -> Result<Figures> {
    let trial = Range::open(world)?.trial(length, None, IMIX)?;
    Ok(vec![("imix", trial.delivered_per_second() / 1e3)])
}

/// As RFC 2544 section 26.1 does, by bisection, with trials of a quarter of `length`; a rate fails when it fails twice.
pub(super) fn zero_loss(world: &World, length: Duration) -> Result<Figures> {
    let mut range = Range::open(world)?;
    let trial_length = length.div_f64(4.0).max(Duration::from_millis(100));
    let overload = range
        .trial(trial_length, None, SMALL)?
        .delivered_per_second();
    let mut search = Search::new(overload);
    while let Some(rate) = search.next() {
        let mut passed = false;
        for _ in 0..2 {
            let trial = range.trial(trial_length, Some(rate as u64), SMALL)?;
            passed = trial.is_clean_at(rate);
            if passed {
                break;
            }
        }
        search.learn(passed);
    }
    Ok(vec![("udp64-zero-loss", search.answer() / 1e3)])
}

/// Bisection between a rate that passed and one that did not.
struct Search {
    passed: f64,
    failed: f64,
    trials: u32,
}

impl Search {
    /// Nothing is known but what was delivered at overload: more than that need not be tried.
    fn new(overload: f64) -> Self {
        Self {
            passed: 0.0,
            failed: overload * 1.1,
            trials: 0,
        }
    }

    fn next(&self) -> Option<f64> {
        let open = self.failed - self.passed > RESOLUTION * self.failed && self.failed > 1000.0;
        (open && self.trials < TRIALS).then(|| self.passed.midpoint(self.failed))
    }

    fn learn(&mut self, passed: bool) {
        let rate = self.passed.midpoint(self.failed);
        if passed {
            self.passed = rate;
        } else {
            self.failed = rate;
        }
        self.trials += 1;
    }

    fn answer(&self) -> f64 {
        self.passed
    }
}

/// A sink that listens.
struct Range<'a> {
    world: &'a World,
    sink: Job,
}

/// One burst of fire.
struct Trial {
    sent: Sent,
    delivered: u64,
    busy_seconds: f64,
}

impl<'a> Range<'a> {
    fn open(world: &'a World) -> Result<Self> {
        let listen = server_address(world).to_string();
        let sink = Job::server(&world.server, &["sink", "--listen", &listen])?;
        Ok(Self { world, sink })
    }

    fn trial(&mut self, length: Duration, rate: Option<u64>, payloads: &str) -> Result<Trial> {
        let (to, seconds) = (
            server_address(self.world).to_string(),
            length.as_secs_f64().to_string(),
        );
        let rate = rate.map(|rate| rate.to_string());
        let mut arguments = vec![
            "blast",
            "--to",
            &to,
            "--seconds",
            &seconds,
            "--payloads",
            payloads,
        ];
        arguments.extend(rate.iter().flat_map(|rate| ["--rate", rate]));
        let before: Received = self.sink.ask()?;
        let busy_before = machine::busy_seconds();
        let sent: Sent = Job::ask_agent(&self.world.client, &arguments, length + GRACE)?;
        thread::sleep(SETTLE);
        let busy_seconds = machine::busy_seconds() - busy_before;
        let after: Received = self.sink.ask()?;
        Ok(Trial {
            sent,
            delivered: after.packets - before.packets,
            busy_seconds,
        })
    }
}

impl Trial {
    fn delivered_per_second(&self) -> f64 {
        self.delivered as f64 / self.sent.seconds
    }

    fn cpu_per_million(&self) -> Result<f64> {
        if self.delivered == 0 {
            return Err(Error::Unexpected {
                place: "the UDP sink".into(),
                expected: format!("some of {} datagrams", self.sent.packets),
                found: "none".into(),
            });
        }
        Ok(self.busy_seconds / (self.delivered as f64 / 1e6))
    }

    /// Nothing was lost or refused, and the generator did keep the rate.
    fn is_clean_at(&self, rate: f64) -> bool {
        let kept = self.sent.packets as f64 >= 0.97 * rate * self.sent.seconds;
        kept && self.sent.refused == 0 && self.delivered == self.sent.packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(overload: f64, limit: f64) -> (f64, u32) {
        let mut search = Search::new(overload);
        while let Some(rate) = search.next() {
            search.learn(rate <= limit);
        }
        (search.answer(), search.trials)
    }

    #[test]
    fn the_search_finds_the_limit_to_its_resolution() {
        let (found, trials) = search(500e3, 300e3);
        assert!(found <= 300e3 && found > 300e3 * 0.93, "{found}");
        assert!(trials <= 6, "{trials}");
    }

    #[test]
    fn the_search_ends_where_nothing_passes() {
        let (found, trials) = search(500e3, 0.0);
        assert_eq!(found, 0.0);
        assert!(trials <= TRIALS);
    }

    #[test]
    fn a_trial_is_clean_only_at_the_rate_it_was_to_have() {
        let sent = Sent {
            packets: 1000,
            refused: 0,
            seconds: 1.0,
        };
        let trial = |sent, delivered| Trial {
            sent,
            delivered,
            busy_seconds: 0.0,
        };
        assert!(trial(sent, 1000).is_clean_at(1000.0));
        assert!(!trial(sent, 999).is_clean_at(1000.0));
        assert!(!trial(sent, 1000).is_clean_at(2000.0));
        assert!(!trial(Sent { refused: 1, ..sent }, 1000).is_clean_at(1000.0));
    }

    #[test]
    fn the_imix_is_seven_four_one() {
        let count = |length: &str| IMIX.split(',').filter(|word| *word == length).count();
        assert_eq!([count("18"), count("548"), count("1422")], [7, 4, 1]);
    }
}
