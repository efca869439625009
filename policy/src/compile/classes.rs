//! Classes: identities with the same features.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::number;

/// Some identities that every rule in force treats alike as peers.
#[derive(Debug)]
struct Class {
    features: Arc<[u32]>,
    identities: u32,
}

/// Every class, by number.
#[derive(Debug, Default)]
pub(super) struct Classes {
    classes: FxHashMap<u32, Class>,
    by_features: FxHashMap<Arc<[u32]>, u32>,
    free: Vec<u32>,
}

impl Classes {
    /// The class of these ascending features gets one more identity; true when it is new.
    pub(super) fn join(&mut self, features: &[u32]) -> (u32, bool) {
        if let Some(known) = self.by_features.get(features) {
            let class = self.classes.get_mut(known).expect("a known class");
            class.identities += 1;
            return (*known, false);
        }
        (self.add(features.into(), 1), true)
    }

    /// An identity leaves; true when it was the last and the class is gone.
    pub(super) fn leave(&mut self, number: u32) -> bool {
        let class = self.classes.get_mut(&number).expect("a known class");
        class.identities -= 1;
        if class.identities > 0 {
            return false;
        }
        let features = Arc::clone(&class.features);
        self.classes.remove(&number);
        self.forget(&features, number);
        self.free.push(number);
        true
    }

    /// The features of a class, ascending.
    pub(super) fn features_of(&self, class: u32) -> Arc<[u32]> {
        Arc::clone(&self.classes[&class].features)
    }

    /// How many identities a class has.
    pub(super) fn identities_of(&self, class: u32) -> usize {
        self.classes[&class].identities as usize
    }

    /// Gives a whole class other features.
    pub(super) fn change(&mut self, number: u32, features: Arc<[u32]>) {
        let class = self.classes.get_mut(&number).expect("a known class");
        let before = std::mem::replace(&mut class.features, Arc::clone(&features));
        self.forget(&before, number);
        self.by_features.entry(features).or_insert(number);
    }

    /// Makes a class of some identities of another, which is told separately.
    pub(super) fn add(&mut self, features: Arc<[u32]>, identities: u32) -> u32 {
        // As long as none is free, the numbers in use are those below their count.
        let next = number(self.classes.len());
        let number = self.free.pop().unwrap_or(next);
        self.by_features
            .entry(Arc::clone(&features))
            .or_insert(number);
        let class = Class {
            features,
            identities,
        };
        self.classes.insert(number, class);
        number
    }

    /// Takes identities out of a class that keeps others.
    pub(super) fn shrink(&mut self, class: u32, identities: u32) {
        let class = self.classes.get_mut(&class).expect("a known class");
        class.identities -= identities;
    }

    /// Two classes can have the same features after one has died out of both; the table then
    /// holds one of them.
    fn forget(&mut self, features: &Arc<[u32]>, number: u32) {
        if self.by_features.get(features) == Some(&number) {
            self.by_features.remove(features);
        }
    }
}
