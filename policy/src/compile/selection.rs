//! Selection: which policies concern which subjects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::number;
use super::reasons::PolicyName;
use crate::model::{Labels, Members, Namespaces, Order, Policy, PolicyKey, Tier};
use crate::verdict::{Direction, RuleRef};

/// The programs an identity of subjects must pass, tier by tier, by number.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) ingress: Arc<[u32]>,
    pub(crate) egress: Arc<[u32]>,
}

impl Subject {
    /// The programs of a direction, in order; none when no policy selects it.
    #[inline]
    pub(crate) fn programs(&self, direction: Direction) -> &[u32] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Where a policy stands among all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    tier_order: Order,
    tier: String,
    order: Order,
    key: PolicyKey,
}

/// A version of a policy.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) key: PolicyKey,
    pub(super) name: Arc<PolicyName>,
    rank: Rank,
    /// Does it apply to ingress, to egress?
    pub(super) applies: [bool; 2],
    /// The one namespace it selects in, if it is one.
    namespace: Option<String>,
    /// References of its rules, once a program has needed them: ingress, egress.
    pub(super) rules: [Option<Arc<[RuleRef]>>; 2],
    /// The identities of subjects it selects.
    pub(super) selects: BTreeSet<u32>,
}

/// The policies, each version by its number; a changed policy has a new one.
#[derive(Debug, Default)]
pub(super) struct Policies {
    numbers: HashMap<PolicyKey, u32>,
    versions: Vec<Option<Version>>,
    free: Vec<u32>,
    retired: Vec<u32>,
    /// Policies that select in one namespace, by it.
    named: HashMap<String, BTreeSet<u32>>,
    /// The others.
    elsewhere: BTreeSet<u32>,
}

impl Policies {
    /// Adds the present version of a policy.
    pub(super) fn add(&mut self, policy: &Policy, tier: &Tier) -> u32 {
        let version = Version {
            key: policy.key.clone(),
            name: Arc::new(PolicyName {
                key: policy.key.clone(),
                tier: tier.name.clone(),
            }),
            rank: Rank {
                tier_order: tier.order,
                tier: tier.name.clone(),
                order: policy.order,
                key: policy.key.clone(),
            },
            namespace: match &policy.subject.namespaces {
                Namespaces::Named(name) => Some(name.clone()),
                Namespaces::Everywhere | Namespaces::Matching(_) => None,
            },
            applies: [Direction::Ingress, Direction::Egress].map(|d| policy.rules(d).is_some()),
            rules: [None, None],
            selects: BTreeSet::new(),
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.versions.push(None);
            number(self.versions.len() - 1)
        });
        self.versions[number as usize] = Some(version);
        self.numbers.insert(policy.key.clone(), number);
        let index = match &policy.subject.namespaces {
            Namespaces::Named(name) => self.named.entry(name.clone()).or_default(),
            Namespaces::Everywhere | Namespaces::Matching(_) => &mut self.elsewhere,
        };
        index.insert(number);
        number
    }

    /// Takes the version of a policy out. Its number is not used again before [`Policies::reuse`].
    pub(super) fn remove(&mut self, key: &PolicyKey) -> Option<(u32, Version)> {
        let number = self.numbers.remove(key)?;
        let version = self.versions[number as usize].take()?;
        self.elsewhere.remove(&number);
        if let Some(namespace) = &version.namespace {
            let policies = self.named.get_mut(namespace).expect("its namespace");
            policies.remove(&number);
            if policies.is_empty() {
                self.named.remove(namespace);
            }
        }
        self.retired.push(number);
        Some((number, version))
    }

    /// Says that nothing refers to versions any more that were taken out.
    pub(super) fn reuse(&mut self) {
        self.free.append(&mut self.retired);
    }

    /// A version in force.
    pub(super) fn get(&self, number: u32) -> &Version {
        self.versions[number as usize]
            .as_ref()
            .expect("a version in force")
    }

    /// A version in force, to change what it knows.
    pub(super) fn get_mut(&mut self, number: u32) -> &mut Version {
        self.versions[number as usize]
            .as_mut()
            .expect("a version in force")
    }

    /// The policies that may select endpoints of a namespace.
    pub(super) fn candidates(&self, namespace: &str) -> Vec<u32> {
        let named = self.named.get(namespace).into_iter().flatten();
        named.chain(&self.elsewhere).copied().collect()
    }

    /// Puts versions in the order in which they are judged, and divides them by tier.
    pub(super) fn by_tier(&self, mut numbers: Vec<u32>) -> Vec<Box<[u32]>> {
        numbers.sort_by(|a, b| self.get(*a).rank.cmp(&self.get(*b).rank));
        let same_tier = |a: &u32, b: &u32| self.get(*a).name.tier == self.get(*b).name.tier;
        numbers.chunk_by(same_tier).map(Box::from).collect()
    }
}

/// Does the policy select an endpoint with these labels?
pub(super) fn selects(
    policy: &Policy,
    namespace: &str,
    namespace_labels: &Labels,
    labels: &Labels,
) -> bool {
    let scope = &policy.subject;
    scope.members != Members::Nodes && scope.matches(Some(namespace), namespace_labels, labels)
}

/// An identity that endpoints which are subjects have.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// How many such endpoints.
    pub(super) endpoints: u32,
    /// The policies that select it.
    pub(super) policies: BTreeSet<u32>,
}

/// The identities of subjects.
pub(super) type Subjects = BTreeMap<u32, Selected>;
