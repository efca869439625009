//! What came of a whole capture.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use packet::Frame;
use serde::Serialize;

use super::{Fate, Rule, Unfit};
use crate::trace::{Verdict, headers};

/// Counts of one replay.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// Packets of the capture.
    pub packets: usize,
    /// Seconds from the first to the last of them.
    pub seconds: f64,
    /// Packets that were walked, by how their port was found.
    pub by_rule: BTreeMap<String, usize>,
    /// Packets that were not, by why.
    pub not_replayed: BTreeMap<String, usize>,
    /// What came of the others: `to PORT`, `dropped` or `kept`.
    pub fates: BTreeMap<String, usize>,
    /// The drops, by the reason's label.
    pub drops: BTreeMap<&'static str, DropTally>,
}

/// Packets that were dropped for one reason.
#[derive(Debug, Serialize)]
pub struct DropTally {
    /// How many.
    pub packets: usize,
    /// What it means, for the operator.
    pub sentence: &'static str,
    /// The first of them.
    pub example: Example,
}

/// One packet.
#[derive(Debug, Serialize)]
pub struct Example {
    /// Its number in the capture, from 1.
    pub number: usize,
    /// Its headers.
    pub packet: String,
    /// The policy's rule that denied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// A packet whose fate another policy changes.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// Its number in the capture, from 1.
    pub number: usize,
    /// Its headers.
    pub packet: String,
    /// What came of it under the first policies.
    pub before: String,
    /// Under the second.
    pub after: String,
}

impl Tally {
    /// Counts a packet of the capture.
    pub fn packet(&mut self, since_first: Duration) {
        self.packets += 1;
        self.seconds = self.seconds.max(since_first.as_secs_f64());
    }

    /// Counts one that is not walked.
    pub fn not_replayed(&mut self, why: Unfit) {
        *self.not_replayed.entry(why.to_string()).or_default() += 1;
    }

    /// Counts what came of one; `words` are the fate's.
    pub fn fate(&mut self, number: usize, rule: Rule, frame: &Frame, fate: &Fate, words: &str) {
        *self.by_rule.entry(rule.to_string()).or_default() += 1;
        let kind = match fate.verdict {
            Verdict::Dropped => "dropped",
            _ => words,
        };
        *self.fates.entry(kind.to_owned()).or_default() += 1;
        if let Some(reason) = fate.reason {
            let row = reason.row();
            let first = || DropTally {
                packets: 0,
                sentence: row.sentence,
                example: Example {
                    number,
                    packet: headers::summary(frame),
                    rule: fate.rule.clone(),
                },
            };
            self.drops.entry(row.label).or_insert_with(first).packets += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} packets in {:.3} s", self.packets, self.seconds)?;
        for (rule, count) in &self.by_rule {
            writeln!(f, "  {count:>8}  port found {rule}")?;
        }
        for (why, count) in &self.not_replayed {
            writeln!(f, "  {count:>8}  left out: {why}")?;
        }
        writeln!(f, "what came of them")?;
        for (fate, count) in &self.fates {
            writeln!(f, "  {count:>8}  {fate}")?;
        }
        for (label, drop) in &self.drops {
            writeln!(f, "{label}: {}", drop.packets)?;
            writeln!(f, "  {}", drop.sentence)?;
            let Example {
                number,
                packet,
                rule,
            } = &drop.example;
            writeln!(f, "  such as packet {number}: {packet}")?;
            if let Some(rule) = rule {
                writeln!(f, "  decided by: {rule}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            packet,
            before,
            after,
        } = self;
        write!(
            f,
            "packet {number}: {packet}\n  before: {before}\n  after:  {after}"
        )
    }
}
