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
    /// Rounds in which an open door was slow, and policy had denied nothing.
    pub slow: u64,
    /// Questions asked.
    pub asked: u64,
    /// Those that were answered.
    pub answered: u64,
}

/// The door and who stands before it.
#[derive(Debug)]
pub struct Turnstile<'a> {
    world: &'a World,
    asker: Job,
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
            let asked = self.ask()?;
            if door.is_obeyed(asked) {
                return Ok(Some(before));
            }
            if before > within {
                let error = format!("{door:?} is not obeyed within {within:?}: {asked:?}");
                self.changes.errors.push(error);
                return Ok(None);
            }
        }
    }

    /// A question that is not answered though the door is open is a broken rule when policy has counted it, and else
    /// only slow: the machine is busy.
    fn hold(&mut self, door: Door, number: u64, end: Instant) -> Result<()> {
        let denied = self.denied()?;
        while Instant::now() < end {
            interrupt::check()?;
            let asked = self.ask()?;
            if door == Door::Open && !door.is_obeyed(asked) && self.denied()? == denied {
                self.changes.slow += 1;
            } else if !door.is_obeyed(asked) {
                let error = format!("change {number}, {door:?}, is no longer obeyed: {asked:?}");
                self.changes.errors.push(error);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// How many frames policy has denied so far, on both nodes.
    fn denied(&self) -> Result<u64> {
        let mut denied = 0;
        for node in NODES {
            let drops = self.world.counted(node)?.drops;
            denied += ["policy_ingress", "policy_egress"]
                .iter()
                .filter_map(|reason| drops.get(*reason))
                .sum::<u64>();
        }
        Ok(denied)
    }

    fn ask(&mut self) -> Result<Asked> {
        let asked: Asked = self.asker.ask()?;
        self.changes.asked += asked.asked;
        self.changes.answered += asked.answered;
        Ok(asked)
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
}
