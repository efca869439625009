//! End indexes: which columns mean the one at an end of a flow.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::features::Features;
use super::members::MemberNets;
use super::networks::{Addresses, NetworkIndex};
use super::rows::{RowBook, clear, row, set};
use crate::model::{End, Members, Peers, Scope};

/// Rows by class and by address.
#[derive(Clone, Debug)]
pub(crate) struct EndIndex {
    /// Columns by class, of classes that some column tells from others.
    pub(super) by_class: FxHashMap<u32, Arc<[u64]>>,
    /// Columns of every other class, and of everyone outside the cluster.
    pub(super) by_default: Arc<[u64]>,
    pub(super) by_address: Arc<NetworkIndex>,
}

impl EndIndex {
    /// The columns that mean this class.
    #[inline]
    pub(crate) fn of_class(&self, class: Option<u32>) -> &[u64] {
        let known = class.and_then(|class| self.by_class.get(&class));
        known.unwrap_or(&self.by_default)
    }
}

/// Some of those an end means: every condition must hold.
#[derive(Clone, Debug)]
pub(super) struct Alternative {
    /// One of these features; none for anybody.
    any_of: BTreeSet<u32>,
    /// Not this feature.
    none_of: Option<u32>,
    /// At one of these addresses; `None` for any.
    addresses: Option<Addresses>,
}

impl Alternative {
    /// Everyone.
    pub(super) fn anyone() -> Self {
        Self {
            any_of: BTreeSet::new(),
            none_of: None,
            addresses: None,
        }
    }

    fn is_by_feature(&self) -> bool {
        !self.any_of.is_empty() && self.none_of.is_none() && self.addresses.is_none()
    }

    fn is_by_address(&self) -> bool {
        self.any_of.is_empty() && self.none_of.is_none() && self.addresses.is_some()
    }
}

/// What resolving a scope needs.
pub(super) struct Resolver<'r> {
    pub(super) features: &'r Features,
    pub(super) member_nets: &'r MemberNets,
}

impl Resolver<'_> {
    /// The alternatives of the peers of a rule. Those that only ask for labels are one, and those
    /// that only ask for addresses another.
    pub(super) fn peers(&self, peers: &Peers) -> Vec<Alternative> {
        let Peers::OneOf(ends) = peers else {
            return vec![Alternative::anyone()];
        };
        let mut found: Vec<Alternative> = Vec::new();
        for alternative in ends.iter().flat_map(|end| self.end(end)) {
            let alike: fn(&Alternative) -> bool = match &alternative {
                own if own.is_by_feature() => Alternative::is_by_feature,
                own if own.is_by_address() => Alternative::is_by_address,
                _ => |_| false,
            };
            match found.iter_mut().find(|other| alike(other)) {
                Some(other) => {
                    other.any_of.extend(alternative.any_of);
                    let both = other.addresses.take().zip(alternative.addresses);
                    other.addresses = both.map(|(one, other)| one.or(other));
                }
                None => found.push(alternative),
            }
        }
        found
    }

    /// The alternatives of an end: as a member of its scope by labels, and by address.
    pub(super) fn end(&self, end: &End) -> Vec<Alternative> {
        let (none_of, not_nets) = match &end.not_scope {
            Some(scope) => (self.feature(scope), self.member_nets.nets(scope)),
            None => (None, Arc::default()),
        };
        let speaks_of_addresses =
            end.nets.is_some() || !end.not_nets.is_empty() || !not_nets.is_empty();
        let addresses = speaks_of_addresses.then(|| {
            let inside = end
                .nets
                .as_ref()
                .map_or_else(Addresses::all, |nets| Addresses::of(nets));
            inside.except(&end.not_nets).except(&not_nets)
        });
        let Some(scope) = &end.scope else {
            return vec![Alternative {
                any_of: BTreeSet::new(),
                none_of,
                addresses,
            }];
        };
        let mut found = Vec::new();
        let nets = self.member_nets.nets(scope);
        if !nets.is_empty() {
            let inside = addresses
                .as_ref()
                .map_or_else(|| Addresses::of(&nets), |own| own.and(&nets));
            found.push(Alternative {
                any_of: BTreeSet::new(),
                none_of,
                addresses: Some(inside),
            });
        }
        if let Some(feature) = self.feature(scope) {
            found.push(Alternative {
                any_of: [feature].into(),
                none_of,
                addresses,
            });
        }
        found
    }

    fn feature(&self, scope: &Scope) -> Option<u32> {
        (scope.members != Members::Nodes)
            .then(|| self.features.number(scope))
            .flatten()
    }
}

/// What makes the row of a class.
#[derive(Debug, Default)]
pub(super) struct ClassRows {
    /// Columns that ask for no feature.
    always: Vec<u64>,
    by_feature: FxHashMap<u32, Vec<u32>>,
    by_missing_feature: FxHashMap<u32, Vec<u32>>,
}

impl ClassRows {
    /// The row of a class with these features; `None` when it is that of every other class.
    pub(super) fn of(&self, features: &[u32]) -> Option<Arc<[u64]>> {
        let mut row = Vec::new();
        self.work_out(features, &mut row).then(|| row.into())
    }

    /// The rows of many classes, equal ones shared.
    pub(super) fn of_all(
        &self,
        classes: impl IntoIterator<Item = (u32, Arc<[u32]>)>,
    ) -> FxHashMap<u32, Arc<[u64]>> {
        let (mut row, mut known) = (Vec::new(), HashSet::<Arc<[u64]>>::default());
        let mut rows = FxHashMap::default();
        for (class, features) in classes {
            if !self.work_out(&features, &mut row) {
                continue;
            }
            let shared = match known.get(row.as_slice()) {
                Some(known) => Arc::clone(known),
                None => {
                    let new: Arc<[u64]> = row.as_slice().into();
                    known.insert(Arc::clone(&new));
                    new
                }
            };
            rows.insert(class, shared);
        }
        rows
    }

    /// Works a row out; false when it is that of every other class.
    fn work_out(&self, features: &[u32], row: &mut Vec<u64>) -> bool {
        row.clone_from(&self.always);
        let columns = |by: &'_ FxHashMap<u32, Vec<u32>>, each: &mut dyn FnMut(u32)| {
            let own = features.iter().filter_map(|feature| by.get(feature));
            own.flatten().for_each(|column| each(*column));
        };
        columns(&self.by_feature, &mut |column| set(row, column));
        columns(&self.by_missing_feature, &mut |column| clear(row, column));
        *row != self.always
    }

    /// The row of every other class.
    pub(super) fn of_others(&self) -> Arc<[u64]> {
        self.always.as_slice().into()
    }

    /// The features any column speaks of.
    pub(super) fn features(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_feature
            .keys()
            .chain(self.by_missing_feature.keys())
            .copied()
    }
}

/// Indexes the alternative of each column.
pub(super) fn index(columns: &[&Alternative], rows: &mut RowBook) -> (ClassRows, NetworkIndex) {
    let words = rows.rows.words();
    let mut by_class = ClassRows {
        always: vec![0; words],
        ..ClassRows::default()
    };
    let mut anywhere = Vec::new();
    let mut somewhere: HashMap<&Addresses, Vec<u32>> = HashMap::default();
    for (column, alternative) in (0..).zip(columns) {
        if alternative.any_of.is_empty() {
            set(&mut by_class.always, column);
        }
        for feature in &alternative.any_of {
            by_class
                .by_feature
                .entry(*feature)
                .or_default()
                .push(column);
        }
        if let Some(feature) = alternative.none_of {
            by_class
                .by_missing_feature
                .entry(feature)
                .or_default()
                .push(column);
        }
        match &alternative.addresses {
            Some(addresses) => somewhere.entry(addresses).or_default().push(column),
            None => anywhere.push(column),
        }
    }
    let anywhere = row(words, anywhere);
    (by_class, NetworkIndex::of(somewhere, &anywhere, rows))
}
