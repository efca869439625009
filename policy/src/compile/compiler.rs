//! The compiler: takes events, redoes what they touch, gives out tables.

mod news;
mod peers;
mod programs;
mod subjects;

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::classes::Classes;
use super::endpoints::Endpoints;
use super::features::Features;
use super::identity::{Identities, Profile};
use super::members::MemberNets;
use super::persistent::Pages;
use super::reasons::ReasonBook;
use super::selection::{self, Policies, Subject};
use super::tiers::Tiers;
use crate::Table;
use crate::model::{Cluster, Object, ObjectKey, PodKey, PolicyKey};
use crate::verdict::Settings;

/// Which endpoints policy is asked about, as the one whose policies decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// Every endpoint of the cluster.
    All,
    /// Those CNI attached on this node: see [`Compiler::set_workload`].
    Attached,
}

/// A cluster and what is compiled of it.
///
/// Events are taken at once and cost next to nothing; [`Compiler::table`] does the work they make.
/// What comes out depends on the state of the cluster only, never on the order of events.
#[derive(Debug)]
pub struct Compiler {
    cluster: Cluster,
    subjects: Subjects,
    settings: Settings,
    dirty: Dirty,
    endpoints: Endpoints,
    identities: Identities,
    /// Profiles by identity.
    profiles: Pages<Profile>,
    features: Features,
    classes: Classes,
    member_nets: MemberNets,
    policies: Policies,
    /// Identities that subjects have.
    selected: selection::Subjects,
    /// What they must pass, by identity.
    programs: Pages<Option<Subject>>,
    tiers: Tiers,
    reasons: ReasonBook,
}

/// What changed since the last table.
#[derive(Debug, Default)]
struct Dirty {
    pods: BTreeSet<PodKey>,
    namespaces: BTreeSet<String>,
    policies: BTreeSet<PolicyKey>,
    /// Network sets, nodes or namespaces: what addresses a scope has may differ.
    members: bool,
}

/// Identities whose programs must be worked out again.
type Reselected = BTreeSet<u32>;

impl Compiler {
    /// A compiler of an empty cluster.
    #[must_use]
    pub fn new(subjects: Subjects, settings: Settings) -> Self {
        Self {
            cluster: Cluster::new(),
            subjects,
            settings,
            dirty: Dirty::default(),
            endpoints: Endpoints::default(),
            identities: Identities::default(),
            profiles: Pages::default(),
            features: Features::default(),
            classes: Classes::default(),
            member_nets: MemberNets::default(),
            policies: Policies::default(),
            selected: selection::Subjects::new(),
            programs: Pages::default(),
            tiers: Tiers::default(),
            reasons: ReasonBook::default(),
        }
    }

    /// The cluster as of the last event.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Adds an object, or replaces the one with the same key. One that says nothing new makes no
    /// work.
    pub fn apply(&mut self, object: Object) {
        if self.is_news(&object) {
            let key = object.key();
            self.cluster.apply(object);
            self.mark(&key);
        }
    }

    /// Takes an object away; false when there was none.
    pub fn remove(&mut self, key: &ObjectKey) -> bool {
        let removed = self.cluster.remove(key);
        if removed {
            self.mark(key);
        }
        removed
    }

    /// Says that CNI attached a pod of this node with this address: see
    /// [`Cluster::set_workload`].
    pub fn set_workload(&mut self, namespace: &str, name: &str, address: IpAddr) {
        self.cluster.set_workload(namespace, name, address);
        self.dirty.pods.insert(PodKey::new(namespace, name));
    }

    /// Says that CNI detached the pod; false when it was not attached.
    pub fn remove_workload(&mut self, namespace: &str, name: &str) -> bool {
        self.dirty.pods.insert(PodKey::new(namespace, name));
        self.cluster.remove_workload(namespace, name)
    }

    /// Policy of the present state. Cost: that of what changed since the last call; a table shares
    /// everything else with the one before.
    #[must_use]
    pub fn table(&mut self) -> Table {
        self.settle();
        Table {
            owners: self.endpoints.owners.clone(),
            profiles: self.profiles.clone(),
            subjects: self.programs.clone(),
            programs: self.tiers.programs.clone(),
            reasons: self.reasons.reasons.clone(),
        }
    }

    /// Does the work that is noted.
    fn settle(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        let mut reselected = Reselected::new();
        let mut old_rules = Vec::new();
        for key in &dirty.policies {
            self.renew_policy(key, &mut reselected, &mut old_rules);
        }
        for namespace in &dirty.namespaces {
            self.relabel_namespace(namespace, &mut reselected);
        }
        for key in &dirty.pods {
            self.renew_endpoint(key, &mut reselected);
        }
        let outdated = match dirty.members {
            true => self.member_nets.renew(&self.cluster),
            false => BTreeSet::new(),
        };
        self.assign_programs(&reselected, outdated);
        for rule in old_rules {
            self.reasons.release(rule);
        }
        self.policies.reuse();
        self.sweep();
    }

    fn sweep(&mut self) {
        for (number, identity) in self.identities.sweep() {
            self.profiles.set(number, Profile::default());
            if let Some(class) = identity.class {
                self.leave_class(class);
            }
        }
    }
}
