//! Features: scopes that rules in force name, and which classes have them.

use std::collections::{BTreeSet, HashMap};

use rustc_hash::FxHashMap;

use crate::model::{Labels, Namespaces, Scope, Selector};

/// A scope's condition on endpoints, with what depends on it.
#[derive(Debug)]
pub(super) struct Feature {
    condition: Condition,
    /// Classes that have it.
    pub(super) classes: BTreeSet<u32>,
    /// Programs that name it.
    pub(super) users: BTreeSet<u32>,
}

/// Which endpoints have a feature. Scopes that differ only in whether they mean network sets too
/// share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Condition {
    namespaces: Namespaces,
    labels: Selector,
}

/// The features in use, by number. Numbers are not used twice.
#[derive(Debug, Default)]
pub(super) struct Features {
    known: HashMap<Condition, u32>,
    in_use: FxHashMap<u32, Feature>,
    /// Those that name one namespace, by it.
    named: HashMap<String, Vec<u32>>,
    /// The others.
    elsewhere: Vec<u32>,
    next: u32,
}

impl Features {
    /// The feature of a scope, and whether it is new.
    pub(super) fn of(&mut self, scope: &Scope) -> (u32, bool) {
        let condition = Condition::of(scope);
        if let Some(known) = self.known.get(&condition) {
            return (*known, false);
        }
        let number = self.next;
        self.next += 1;
        self.index(&condition.namespaces).push(number);
        self.known.insert(condition.clone(), number);
        let feature = Feature {
            condition,
            classes: BTreeSet::new(),
            users: BTreeSet::new(),
        };
        self.in_use.insert(number, feature);
        (number, true)
    }

    /// The number of a scope's feature.
    pub(super) fn number(&self, scope: &Scope) -> Option<u32> {
        self.known.get(&Condition::of(scope)).copied()
    }

    /// A feature in use.
    pub(super) fn get(&self, number: u32) -> Option<&Feature> {
        self.in_use.get(&number)
    }

    /// A feature in use, to change what depends on it.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Feature> {
        self.in_use.get_mut(&number)
    }

    /// Says that a program no longer names a feature, which goes with its last user. Classes keep
    /// the number among theirs until something else changes them; it decides nothing any more.
    pub(super) fn leave(&mut self, number: u32, program: u32) {
        let Some(feature) = self.in_use.get_mut(&number) else {
            return;
        };
        feature.users.remove(&program);
        if !feature.users.is_empty() {
            return;
        }
        let feature = self.in_use.remove(&number).expect("just found");
        self.known.remove(&feature.condition);
        let index = self.index(&feature.condition.namespaces);
        index.retain(|other| *other != number);
        if let Namespaces::Named(name) = &feature.condition.namespaces
            && self.named.get(name).is_some_and(Vec::is_empty)
        {
            self.named.remove(name);
        }
    }

    /// The features of an endpoint with these labels, ascending.
    pub(super) fn of_endpoint(
        &self,
        namespace: &str,
        namespace_labels: &Labels,
        labels: &Labels,
    ) -> Vec<u32> {
        let named = self.named.get(namespace).into_iter().flatten();
        let has = |number: &&u32| {
            let condition = &self.in_use[number].condition;
            condition.contains(Some(namespace), namespace_labels)
                && condition.labels.matches(labels)
        };
        let mut found: Vec<u32> = named.chain(&self.elsewhere).filter(has).copied().collect();
        found.sort_unstable();
        found
    }

    fn index(&mut self, namespaces: &Namespaces) -> &mut Vec<u32> {
        match namespaces {
            Namespaces::Named(name) => self.named.entry(name.clone()).or_default(),
            Namespaces::Everywhere | Namespaces::Matching(_) => &mut self.elsewhere,
        }
    }
}

impl Condition {
    fn of(scope: &Scope) -> Self {
        Self {
            namespaces: scope.namespaces.clone(),
            labels: scope.labels.clone(),
        }
    }

    fn contains(&self, namespace: Option<&str>, labels: &Labels) -> bool {
        self.namespaces.contain(namespace, labels)
    }
}
