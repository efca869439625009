//! Tiers compiled: a program for every set of policies that some subjects share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::classes::Classes;
use super::ends::{Alternative, ClassRows, EndIndex, Resolver, index};
use super::features::Features;
use super::number;
use super::persistent::Pages;
use super::ports::{Covers, PortIndex};
use super::program::{Outcome, TierProgram};
use super::rows::RowBook;
use super::traffic::{Lane, lanes};
use crate::model::{Peers, Rule, Scope};
use crate::verdict::{Direction, RuleRef};

/// What a program is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TierKey {
    pub(super) direction: Direction,
    /// Versions of policies of one tier, in order.
    pub(super) policies: Box<[u32]>,
}

/// A program with what it takes to change it.
#[derive(Debug)]
struct Slot {
    key: TierKey,
    /// Identities of subjects that must pass it.
    users: u32,
    /// The features its rules name.
    features: BTreeSet<u32>,
    end: RuleRef,
    peers: ClassRows,
    subject: Option<ClassRows>,
}

/// Every program, by number.
#[derive(Debug, Default)]
pub(super) struct Tiers {
    numbers: FxHashMap<TierKey, u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    pub(super) programs: Pages<Option<Arc<TierProgram>>>,
}

/// The rules of a program in order, each with its outcome.
pub(super) struct Source<'p> {
    pub(super) rules: Vec<(&'p Rule, Outcome)>,
    pub(super) end: Outcome,
}

/// A rule's column, or one of several.
struct Column {
    outcome: Outcome,
    peer: Alternative,
    subject: Alternative,
    lane: Lane,
}

impl Tiers {
    /// The number of the program of this key for one more user, and whether it must be built.
    pub(super) fn acquire(&mut self, key: TierKey) -> (u32, bool) {
        if let Some(known) = self.numbers.get(&key).copied() {
            self.slot(known).users += 1;
            return (known, false);
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            number(self.slots.len() - 1)
        });
        self.numbers.insert(key.clone(), number);
        self.slots[number as usize] = Some(Slot {
            key,
            users: 1,
            features: BTreeSet::new(),
            end: RuleRef::NO_DECISION,
            peers: ClassRows::default(),
            subject: None,
        });
        (number, true)
    }

    /// One user less. The last takes the program along: what remains are the features it named and
    /// the reference of its end.
    pub(super) fn release(&mut self, number: u32) -> Option<(BTreeSet<u32>, RuleRef)> {
        let slot = self.slot(number);
        slot.users -= 1;
        if slot.users > 0 {
            return None;
        }
        let slot = self.slots[number as usize]
            .take()
            .expect("a program in use");
        self.numbers.remove(&slot.key);
        self.programs.set(number, None);
        self.free.push(number);
        Some((slot.features, slot.end))
    }

    /// Notes that a program's rules name a feature.
    pub(super) fn name(&mut self, number: u32, feature: u32) {
        self.slot(number).features.insert(feature);
    }

    /// What a program is made for.
    pub(super) fn key(&self, number: u32) -> &TierKey {
        &self.slots[number as usize]
            .as_ref()
            .expect("a program in use")
            .key
    }

    /// The reference of a program's end.
    pub(super) fn end(&self, number: u32) -> RuleRef {
        self.slots[number as usize]
            .as_ref()
            .expect("a program in use")
            .end
    }

    /// Builds a program, or builds it anew. Every scope its rules name has a feature by now.
    pub(super) fn build(
        &mut self,
        number: u32,
        source: &Source<'_>,
        resolver: &Resolver<'_>,
        classes: &Classes,
    ) {
        let columns: Vec<Column> = source
            .rules
            .iter()
            .flat_map(|(rule, outcome)| columns(rule, *outcome, resolver))
            .collect();
        let mut rows = RowBook::new(columns.len());
        let end_index = |class_rows: &ClassRows, by_address| EndIndex {
            by_class: rows_of_classes(class_rows, resolver.features, classes),
            by_default: class_rows.of_others(),
            by_address: Arc::new(by_address),
        };
        let peers: Vec<_> = columns.iter().map(|column| &column.peer).collect();
        let (peer_rows, by_address) = index(&peers, &mut rows);
        let peers = end_index(&peer_rows, by_address);
        let asks_subject = source.rules.iter().any(|(rule, _)| rule.subject.is_some());
        let (subject_rows, subject) = match asks_subject {
            true => {
                let subjects: Vec<_> = columns.iter().map(|column| &column.subject).collect();
                let (class_rows, by_address) = index(&subjects, &mut rows);
                let subject = end_index(&class_rows, by_address);
                (Some(class_rows), Some(subject))
            }
            false => (None, None),
        };
        let destination = ports(&columns, |lane| &lane.destination, &mut rows);
        let asks_source = columns
            .iter()
            .any(|column| !column.lane.source.is_everything());
        let by_source = asks_source.then(|| {
            Arc::new(ports(
                &columns,
                |lane| std::slice::from_ref(&lane.source),
                &mut rows,
            ))
        });
        let program = TierProgram {
            outcomes: columns.iter().map(|column| column.outcome).collect(),
            rows: Arc::new(rows.rows),
            peers,
            subject,
            destination: Arc::new(destination),
            source: by_source,
            end: source.end,
        };
        self.programs.set(number, Some(Arc::new(program)));
        let slot = self.slot(number);
        (slot.peers, slot.subject, slot.end) = (peer_rows, subject_rows, source.end.rule);
    }

    /// Tells a program about a class that is new or gone.
    pub(super) fn patch(&mut self, number: u32, class: u32, features: Option<&[u32]>) {
        let Some(Some(program)) = self.programs.get(number) else {
            return;
        };
        let mut program = Arc::clone(program);
        let slot = self.slot(number);
        let changed = Arc::make_mut(&mut program);
        let pairs = [(Some(&mut changed.peers), Some(&slot.peers))];
        let pairs = pairs
            .into_iter()
            .chain([(changed.subject.as_mut(), slot.subject.as_ref())]);
        for (index, rows) in pairs.filter_map(|(index, rows)| index.zip(rows)) {
            match features.and_then(|features| rows.of(features)) {
                Some(row) => drop(index.by_class.insert(class, row)),
                None => drop(index.by_class.remove(&class)),
            }
        }
        self.programs.set(number, Some(program));
    }

    fn slot(&mut self, number: u32) -> &mut Slot {
        self.slots[number as usize]
            .as_mut()
            .expect("a program in use")
    }
}

fn columns(rule: &Rule, outcome: Outcome, resolver: &Resolver<'_>) -> Vec<Column> {
    let subjects = match &rule.subject {
        Some(end) => resolver.end(end),
        None => vec![Alternative::anyone()],
    };
    let (peers, lanes) = (resolver.peers(&rule.peers), lanes(&rule.traffic));
    let mut columns = Vec::new();
    for peer in &peers {
        for subject in &subjects {
            columns.extend(lanes.iter().map(|lane| Column {
                outcome,
                peer: peer.clone(),
                subject: subject.clone(),
                lane: lane.clone(),
            }));
        }
    }
    columns
}

fn ports(
    columns: &[Column],
    covers: fn(&Lane) -> &[super::traffic::Cover],
    rows: &mut RowBook,
) -> PortIndex {
    let columns = (0..).zip(columns);
    let covers: Covers<'_> = columns
        .flat_map(|(number, column)| {
            covers(&column.lane)
                .iter()
                .map(move |cover| (number, cover))
        })
        .collect();
    PortIndex::of(&covers, rows)
}

/// The rows of the classes that have any of the features the rows speak of.
fn rows_of_classes(
    rows: &ClassRows,
    features: &Features,
    classes: &Classes,
) -> FxHashMap<u32, Arc<[u64]>> {
    let concerned: BTreeSet<u32> = rows
        .features()
        .filter_map(|feature| features.get(feature))
        .flat_map(|feature| &feature.classes)
        .copied()
        .collect();
    rows.of_all(
        concerned
            .into_iter()
            .map(|class| (class, classes.features_of(class))),
    )
}

/// The scopes a rule names.
pub(super) fn scopes(rule: &Rule) -> impl Iterator<Item = &Scope> {
    let peers = match &rule.peers {
        Peers::Any => &[],
        Peers::OneOf(ends) => ends.as_slice(),
    };
    let ends = peers.iter().chain(&rule.subject);
    ends.flat_map(|end| [&end.scope, &end.not_scope]).flatten()
}

/// Programs that name any of these features.
pub(super) fn users(features: &Features, of: &[u32]) -> BTreeSet<u32> {
    of.iter()
        .filter_map(|feature| features.get(*feature))
        .flat_map(|feature| &feature.users)
        .copied()
        .collect()
}

/// Identities by class.
pub(super) type ByClass = BTreeMap<u32, Vec<u32>>;
