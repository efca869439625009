//! A policy that changes every second, and whether it is obeyed: a door that is opened and closed.
//!
//! In turn the door is closed by ingress policy of the one who is asked, opened, closed by egress policy of the one who
//! asks, and opened. Questions come from new ports, so each is judged anew.

use std::{
    thread,
    time::{Duration, Instant},
};

use lab::manifest;
use serde::{Deserialize, Serialize};

use super::{
    agent::ask::Asked,
    world::{NODES, World},
};
use crate::run::{
    error::{Error, Result},
    interrupt,
    job::Job,
};

/// Between two changes.
const INTERVAL: Duration = Duration::from_secs(1);
/// A change is in force within this, the 200 ms for which a daemon collects changes included.
pub const OBEYED_WITHIN: Duration = Duration::from_secs(2);

/// Drop reasons of policy.
pub const POLICY: [&str; 2] = ["policy_ingress", "policy_egress"];

/// What the door is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    ClosedToEntry,
    ClosedToExit,
}

/// In this order, over and over.
const TURNS: [Door; 4] = [
    Door::ClosedToEntry,
    Door::Open,
    Door::ClosedToExit,
    Door::Open,
];

/// How the changes were obeyed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Changes made.
    pub count: u64,
    /// What went wrong.
    pub errors: Vec<String>,
    /// The longest from the writing of the file to the first round that went as it says.
    pub slowest_ms: f64,
    /// Rounds of questions.
    pub rounds: u64,
    /// Rounds in which a question was neither answered nor counted by policy while they lasted: lost, or slow.
    pub slow: u64,
    /// Such questions.
    pub unseen: u64,
    /// Questions asked.
    pub asked: u64,
    /// Those that were answered.
    pub answered: u64,
}

/// A round of questions, and what policy counted meanwhile.
#[derive(Clone, Copy, Debug)]
struct Round {
    asked: Asked,
    denied: u64,
}

/// The door and who stands before it.
#[derive(Debug)]
pub struct Turnstile<'a> {
    world: &'a World,
    asker: Job,
    /// What policy had counted when the last round was over.
    denied: u64,
    changes: Changes,
}

impl<'a> Turnstile<'a> {
    /// Closes the door for the first time; returns when it is closed, and so all policies are in force.
    ///
    /// # Errors
    /// It does not close.
    pub fn new(world: &'a World, asker: Job) -> Result<Self> {
        let mut turnstile = Self {
            world,
            asker,
            denied: denied(world)?,
            changes: Changes::default(),
        };
        for door in [Door::Open, Door::ClosedToEntry] {
            turnstile.put(door, 0)?;
            turnstile.wait(door, Duration::from_secs(15))?;
        }
        let begun = std::mem::take(&mut turnstile.changes);
        match begun.errors.into_iter().next() {
            None => Ok(turnstile),
            Some(found) => Err(Error::Unexpected {
                place: "the first policies".into(),
                expected: "a door that opens and closes".into(),
                found,
            }),
        }
    }

    /// Changes the policy every second until the end. Once a change has been obeyed, it must be until the next.
    ///
    /// # Errors
    /// The run was interrupted, or the asker is gone.
    pub fn turn(mut self, end: Instant) -> Result<Changes> {
        for (number, door) in (1..).zip(TURNS.into_iter().cycle().skip(1)) {
            let start = Instant::now();
            if start + INTERVAL >= end {
                break;
            }
            self.put(door, number)?;
            if let Some(took) = self.wait(door, OBEYED_WITHIN)? {
                let took_ms = took.as_secs_f64() * 1e3;
                self.changes.slowest_ms = self.changes.slowest_ms.max(took_ms);
                self.hold(door, number, start + INTERVAL)?;
            }
            self.changes.count += 1;
        }
        Ok(self.changes)
    }

    fn put(&self, door: Door, number: u64) -> Result<()> {
        let file = format!("{}/door.yaml", manifest::FOLDER);
        Ok(self.world.lab.sandbox().write(&file, &door.yaml(number))?)
    }

    /// Asks until a round goes as it should; nothing when none does in time.
    fn wait(&mut self, door: Door, within: Duration) -> Result<Option<Duration>> {
        let start = Instant::now();
        loop {
            interrupt::check()?;
            let before = start.elapsed();
            let round = self.ask()?;
            if round.obeys(door) {
                return Ok(Some(before));
            }
            if before > within {
                let error = format!("{door:?} is not obeyed within {within:?}: {round:?}");
                self.changes.errors.push(error);
                return Ok(None);
            }
        }
    }

    /// Asks until the end. Where nobody can say what became of a question the machine may be busy: that is asked again, once.
    fn hold(&mut self, door: Door, number: u64, end: Instant) -> Result<()> {
        while Instant::now() < end {
            interrupt::check()?;
            let mut rounds = vec![self.ask()?];
            if rounds[0].is_allowed(door) && rounds[0].unseen() > 0 {
                rounds.push(self.ask()?);
            }
            if rounds.last().is_some_and(|last| !last.obeys(door)) {
                let error = format!("change {number}, {door:?}, is no longer obeyed: {rounds:?}");
                self.changes.errors.push(error);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn ask(&mut self) -> Result<Round> {
        let asked: Asked = self.asker.ask()?;
        let now = denied(self.world)?;
        let round = Round {
            asked,
            denied: now - std::mem::replace(&mut self.denied, now),
        };
        self.changes.rounds += 1;
        self.changes.asked += asked.asked;
        self.changes.answered += asked.answered;
        self.changes.slow += u64::from(round.unseen() > 0);
        self.changes.unseen += round.unseen();
        Ok(round)
    }
}

/// How many frames policy has denied so far, on both nodes.
fn denied(world: &World) -> Result<u64> {
    let mut denied = 0;
    for node in NODES {
        let drops = world.drops(node)?;
        let of_policy = POLICY.iter().filter_map(|reason| drops.get(*reason));
        denied += of_policy.sum::<u64>();
    }
    Ok(denied)
}

impl Round {
    /// Went as it should, and policy says the same.
    fn obeys(self, door: Door) -> bool {
        door.is_obeyed(self.asked) && self.unseen() == 0
    }

    /// Nothing in it is against the rule, whatever it lacks.
    fn is_allowed(self, door: Door) -> bool {
        match door {
            Door::Open => self.denied == 0,
            Door::ClosedToEntry | Door::ClosedToExit => self.asked.answered == 0,
        }
    }

    /// Questions that were neither answered nor counted by policy.
    fn unseen(self) -> u64 {
        (self.asked.asked - self.asked.answered).saturating_sub(self.denied)
    }
}

impl Door {
    fn is_obeyed(self, asked: Asked) -> bool {
        asked.answered == if self == Self::Open { asked.asked } else { 0 }
    }

    fn yaml(self, number: u64) -> String {
        let rule = |way: &str, peers: &str, role: &str, is_open: bool| {
            if is_open {
                format!(
                    "  {way}: [{{ {peers}: [{{ podSelector: {{ matchLabels: {{ role: {role} }} }} }}] }}]\n"
                )
            } else {
                String::new()
            }
        };
        let policy = |name: &str, role: &str, kind: &str, rule: String| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                 metadata: {{ name: {name}, namespace: default, annotations: {{ change: '{number}' }} }}\n\
                 spec:\n  podSelector: {{ matchLabels: {{ role: {role} }} }}\n  policyTypes: [{kind}]\n{rule}"
            )
        };
        let entry = rule("ingress", "from", "asker", self != Self::ClosedToEntry);
        let exit = rule("egress", "to", "asked", self != Self::ClosedToExit);
        [
            policy("entry", "asked", "Ingress", entry),
            policy("exit", "asker", "Egress", exit),
        ]
        .join("---\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_door_is_two_policies() {
        for door in TURNS {
            let objects = policy::parse("door.yaml", &door.yaml(1)).unwrap();
            assert_eq!(objects.len(), 2, "{door:?}");
        }
    }

    #[test]
    fn a_round_that_is_answered_in_part_obeys_nothing() {
        let asked = |answered| Asked {
            asked: 8,
            answered,
            took_us: 1,
        };
        assert!(Door::Open.is_obeyed(asked(8)) && Door::ClosedToExit.is_obeyed(asked(0)));
        assert!(TURNS.iter().all(|door| !door.is_obeyed(asked(3))));
    }

    #[test]
    fn what_nobody_counted_is_neither_obeyed_nor_against_the_rule() {
        let round = |answered, denied| Round {
            asked: Asked {
                asked: 8,
                answered,
                took_us: 1,
            },
            denied,
        };
        let lost = round(7, 0);
        assert_eq!(lost.unseen(), 1);
        assert!(lost.is_allowed(Door::Open) && !lost.obeys(Door::Open));
        assert!(!round(7, 1).is_allowed(Door::Open));
        assert!(round(0, 8).obeys(Door::ClosedToExit) && !round(0, 7).obeys(Door::ClosedToExit));
        assert!(!round(1, 7).is_allowed(Door::ClosedToEntry));
    }
}
