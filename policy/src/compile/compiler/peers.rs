//! Peers: classes of identities that the rules in force tell apart.

use std::collections::HashSet;
use std::sync::Arc;

use super::Compiler;
use crate::compile::identity::Profile;
use crate::compile::number;
use crate::compile::tiers::{ByClass, users};
use crate::model::{Labels, Members, Namespaces, Scope};

impl Compiler {
    /// Puts an identity into the class of its features.
    pub(super) fn classify(&mut self, identity: u32, namespace_labels: &Labels) {
        let slot = self.identities.get(identity);
        let features = self
            .features
            .of_endpoint(&slot.namespace, namespace_labels, &slot.labels);
        let before = slot.class;
        if before.is_some_and(|class| *self.classes.features_of(class) == *features) {
            return;
        }
        let (class, is_new) = self.classes.join(&features);
        if is_new {
            self.announce(class, &features);
        }
        self.set_class(identity, class);
        if let Some(before) = before {
            self.leave_class(before);
        }
    }

    pub(super) fn leave_class(&mut self, class: u32) {
        let features = self.classes.features_of(class);
        if !self.classes.leave(class) {
            return;
        }
        for feature in features.iter() {
            if let Some(feature) = self.features.get_mut(*feature) {
                feature.classes.remove(&class);
            }
        }
        for program in users(&self.features, &features) {
            self.tiers.patch(program, class, None);
        }
    }

    /// Tells features and programs about a new class.
    fn announce(&mut self, class: u32, features: &[u32]) {
        for feature in features {
            if let Some(feature) = self.features.get_mut(*feature) {
                feature.classes.insert(class);
            }
        }
        for program in users(&self.features, features) {
            self.tiers.patch(program, class, Some(features));
        }
    }

    fn set_class(&mut self, identity: u32, class: u32) {
        let slot = self.identities.slot(identity);
        slot.class = Some(class);
        let served = Arc::clone(&slot.served);
        self.profiles.set(identity, Profile { class, served });
    }

    /// The feature of a scope for a program. A new one divides the classes that have it in part.
    pub(super) fn require(&mut self, scope: &Scope, program: u32) {
        self.member_nets.join(scope, program, &self.cluster);
        if scope.members == Members::Nodes {
            return;
        }
        let (feature, is_new) = self.features.of(scope);
        if is_new {
            for (class, identities) in self.identities_in(scope) {
                self.divide(class, identities, feature);
            }
        }
        self.tiers.name(program, feature);
        let feature = self.features.get_mut(feature).expect("just required");
        feature.users.insert(program);
    }

    /// The identities in a scope, by their class.
    fn identities_in(&self, scope: &Scope) -> ByClass {
        let mut found = ByClass::new();
        let mut add = |identity: u32| {
            let profile = self.profiles.get(identity).expect("a classified identity");
            found.entry(profile.class).or_default().push(identity);
        };
        let everybody = scope.labels.is_everything();
        let has_labels = |identity: &u32| {
            everybody || scope.labels.matches(&self.identities.get(*identity).labels)
        };
        let namespaces: Vec<&Arc<str>> = match &scope.namespaces {
            Namespaces::Named(name) => {
                let own = self.identities.in_namespace(name);
                own.filter(has_labels).for_each(add);
                return found;
            }
            elsewhere => {
                let labels = |name| self.cluster.namespace_labels(name);
                let all = self.identities.namespaces();
                all.filter(|name| elsewhere.contain(Some(name), &labels(name)))
                    .collect()
            }
        };
        match self.identities.candidates(&scope.labels) {
            Some(candidates) => {
                let inside: HashSet<&str> = namespaces.iter().map(|name| &***name).collect();
                let is_inside =
                    |identity: &u32| inside.contains(&*self.identities.get(*identity).namespace);
                let all = candidates.identities.iter().copied().filter(is_inside);
                all.filter(|identity| candidates.exact || has_labels(identity))
                    .for_each(add);
            }
            None => {
                let all = namespaces
                    .iter()
                    .flat_map(|name| self.identities.in_namespace(name));
                all.filter(has_labels).for_each(&mut add);
            }
        }
        found
    }

    /// Gives some identities of a class one feature more.
    fn divide(&mut self, class: u32, identities: Vec<u32>, feature: u32) {
        let features = self.classes.features_of(class);
        let in_use = features.iter().filter(|f| self.features.get(**f).is_some());
        let more: Arc<[u32]> = in_use.copied().chain([feature]).collect();
        if identities.len() == self.classes.identities_of(class) {
            self.classes.change(class, Arc::clone(&more));
            let feature = self.features.get_mut(feature).expect("a feature in use");
            feature.classes.insert(class);
            return;
        }
        self.classes.shrink(class, number(identities.len()));
        let part = self
            .classes
            .add(Arc::clone(&more), number(identities.len()));
        for identity in identities {
            self.set_class(identity, part);
        }
        self.announce(part, &more);
    }
}
