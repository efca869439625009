//! Judging every pair twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use super::changes::{Change, Side, merged};
use crate::ask::{Judge, Party, Ruling};
use crate::matrix::{Sample, Samples, TooLarge, checked, groups};

/// What to compare besides the pods of both states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The kinds of traffic; empty = all that policies of either state tell apart.
    pub traffic: Vec<Sample>,
    /// Addresses, besides those that stand for all outsiders.
    pub addresses: Vec<IpAddr>,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// Pairs whose verdict changed.
    pub changes: Vec<Change>,
    /// Pods of the old state only; not compared.
    pub only_before: Vec<String>,
    /// Pods of the new state only; not compared.
    pub only_after: Vec<String>,
    /// How many ends were compared.
    pub ends: usize,
    /// For how many kinds of traffic.
    pub kinds: usize,
}

/// Compares two states.
///
/// Cost: four verdicts for each pair of ends and kind of traffic.
///
/// # Errors
/// There are too many: see [`crate::matrix::MAX_CELLS`].
pub fn diff(before: &Judge, after: &Judge, question: &Question) -> Result<Diff, TooLarge> {
    let rosters = [before.roster(), after.roster()];
    let samples = Samples::of(&rosters);
    let traffic = match question.traffic.is_empty() {
        true => &samples.traffic,
        false => &question.traffic,
    };
    let mut comparison = Comparison::new(before, after, &samples, &question.addresses);
    checked(comparison.ends.len(), traffic.len())?;
    let ends = comparison.ends.len();
    let cells = comparison.cells(traffic);
    let changes = comparison.changes(&cells, traffic);
    let [only_before, only_after] = strangers(before, after);
    Ok(Diff {
        changes,
        only_before,
        only_after,
        ends,
        kinds: traffic.len(),
    })
}

/// The pods of one state that the other does not have.
fn strangers(before: &Judge, after: &Judge) -> [Vec<String>; 2] {
    let names = |judge: &Judge| -> BTreeSet<String> {
        let pods = judge.roster().policed();
        pods.iter().map(ToString::to_string).collect()
    };
    let (before, after) = (names(before), names(after));
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect();
    [only(&before, &after), only(&after, &before)]
}

struct Comparison<'a> {
    before: &'a Judge,
    after: &'a Judge,
    /// Every end, as either state knows it.
    ends: Vec<[Party; 2]>,
    /// How verdicts changed, by number; 0 is not at all.
    ways: Vec<[Side; 2]>,
    numbers: BTreeMap<[Side; 2], usize>,
}

impl<'a> Comparison<'a> {
    fn new(before: &'a Judge, after: &'a Judge, samples: &Samples, more: &[IpAddr]) -> Self {
        let mut ends = both(before.roster().policed(), after.roster().policed());
        if samples.nodes {
            ends.extend(both(before.roster().nodes(), after.roster().nodes()));
        }
        let addresses: BTreeSet<&IpAddr> = samples.outsiders.iter().chain(more).collect();
        let at = |address: &IpAddr| [before.roster().at(*address), after.roster().at(*address)];
        ends.extend(addresses.into_iter().map(at));
        Self {
            before,
            after,
            ends,
            ways: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// For each source, each destination and each kind of traffic: the number of the way its
    /// verdict changed.
    fn cells(&mut self, traffic: &[Sample]) -> Vec<usize> {
        let count = self.ends.len();
        let mut cells = Vec::with_capacity(count * count * traffic.len());
        for from in 0..count {
            for to in 0..count {
                for sample in traffic {
                    cells.push(self.cell(from, to, sample));
                }
            }
        }
        cells
    }

    fn cell(&mut self, from: usize, to: usize, sample: &Sample) -> usize {
        let (from, to) = (&self.ends[from], &self.ends[to]);
        let rule = |judge: &Judge, side: usize| judge.rule(&from[side], &to[side], &sample.kind);
        let (Ok(before), Ok(after)) = (rule(self.before, 0), rule(self.after, 1)) else {
            return 0;
        };
        if before.allowed() == after.allowed() {
            return 0;
        }
        // A direction that allows before and after has nothing to do with it.
        let egress = !(before.egress.allowed() && after.egress.allowed());
        let ingress = !(before.ingress.allowed() && after.ingress.allowed());
        let side = |judge: &Judge, side: usize, ruling: Ruling| Side {
            allowed: ruling.allowed(),
            egress: egress.then(|| judge.half(&from[side], ruling.egress).to_string()),
            ingress: ingress.then(|| judge.half(&to[side], ruling.ingress).to_string()),
            denied_by: denied_by(ruling),
        };
        let way = [side(self.before, 0, before), side(self.after, 1, after)];
        let next = self.ways.len() + 1;
        let number = *self.numbers.entry(way.clone()).or_insert(next);
        if number == next {
            self.ways.push(way);
        }
        number
    }

    fn changes(&self, cells: &[usize], traffic: &[Sample]) -> Vec<Change> {
        let (count, kinds) = (self.ends.len(), traffic.len());
        let at = |from: usize, to: usize| &cells[(from * count + to) * kinds..][..kinds];
        let groups = groups(count, at);
        let mut found = Vec::new();
        for from in &groups {
            for to in &groups {
                let pair = match from == to {
                    true if from.len() == 1 => continue,
                    true => at(from[0], from[1]),
                    false => at(from[0], to[0]),
                };
                found.extend(self.between(from, to, pair, traffic));
            }
        }
        merged(found)
    }

    fn between(
        &self,
        from: &[usize],
        to: &[usize],
        pair: &[usize],
        traffic: &[Sample],
    ) -> Vec<Change> {
        let mut by_way: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (way, sample) in pair.iter().zip(traffic) {
            by_way.entry(*way).or_default().push(sample.name.clone());
        }
        by_way.remove(&0);
        let names = |group: &[usize]| -> Vec<String> {
            let name = |one: &usize| self.ends[*one][0].to_string();
            group.iter().map(name).collect()
        };
        let change = |(way, traffic): (usize, Vec<String>)| {
            let [before, after] = self.ways[way - 1].clone();
            Change {
                traffic,
                from: names(from),
                to: names(to),
                before,
                after,
            }
        };
        by_way.into_iter().map(change).collect()
    }
}

fn denied_by(ruling: Ruling) -> Vec<&'static str> {
    let halves = [("egress", ruling.egress), ("ingress", ruling.ingress)];
    let denying = halves.into_iter().filter(|(_, half)| !half.allowed());
    denying.map(|(name, _)| name).collect()
}

/// Those of the same name in both lists.
fn both(before: Vec<Party>, after: Vec<Party>) -> Vec<[Party; 2]> {
    let mut later: BTreeMap<String, Party> = after
        .into_iter()
        .map(|party| (party.to_string(), party))
        .collect();
    let pair = |party: Party| {
        let twin = later.remove(&party.to_string())?;
        Some([party, twin])
    };
    before.into_iter().filter_map(pair).collect()
}
