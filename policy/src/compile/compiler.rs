//! The compiler: takes events, redoes what they touch, gives out tables.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::classes::Classes;
use super::endpoints::{Endpoints, Entry};
use super::features::Features;
use super::identity::{Identities, Profile};
use super::names::{Names, Served};
use super::number;
use super::persistent::Pages;
use super::program::Outcome;
use super::reasons::ReasonBook;
use super::selection::{self, Policies, Subject};
use super::tiers::{ByClass, Context, Source, TierKey, Tiers, scopes, users};
use crate::Table;
use crate::model::{
    Action, Cluster, EndOfTier, Kind, Labels, Namespaces, NetworkSet, Node, Object, ObjectKey, Pod,
    PodKey, Policy, PolicyKey, Scope,
};
use crate::verdict::{Denial, Direction, RuleRef, Settings};

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
    served: ServedLists,
    features: Features,
    classes: Classes,
    policies: Policies,
    /// Identities that subjects have.
    selected: selection::Subjects,
    /// What they must pass, by identity.
    programs: Pages<Option<Subject>>,
    tiers: Tiers,
    names: Names,
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

/// Lists of named ports, each once.
#[derive(Debug, Default)]
struct ServedLists {
    known: FxHashMap<Arc<[Served]>, u32>,
    lists: Pages<Arc<[Served]>>,
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
            served: ServedLists::default(),
            features: Features::default(),
            classes: Classes::default(),
            policies: Policies::default(),
            selected: selection::Subjects::new(),
            programs: Pages::default(),
            tiers: Tiers::default(),
            names: Names::default(),
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
        let key = object.key();
        let before = self.marks(&key);
        self.cluster.apply(object);
        let after = self.marks(&key);
        if before != after {
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

    /// Changes what holds where no policy says otherwise.
    pub fn set_settings(&mut self, settings: Settings) {
        if self.settings != settings {
            self.settings = settings;
            self.dirty
                .policies
                .extend(self.cluster.policies().keys().cloned());
        }
    }

    /// Policy of the present state. Cost: that of what changed since the last call; a table shares
    /// everything else with the one before.
    #[must_use]
    pub fn table(&mut self) -> Table {
        self.settle();
        Table {
            owners: self.endpoints.owners.clone(),
            profiles: self.profiles.clone(),
            served: self.served.lists.clone(),
            features: self.classes.features.clone(),
            subjects: self.programs.clone(),
            programs: self.tiers.programs.clone(),
            reasons: self.reasons.reasons.clone(),
        }
    }

    /// What an object with this key contributes to policy now.
    fn marks(&self, key: &ObjectKey) -> Marks {
        let (cluster, namespace) = (&self.cluster, key.namespace.clone());
        let owner = || namespace.clone().unwrap_or_default();
        match key.kind {
            Kind::Namespace => Marks::Labels(cluster.namespaces().get(&key.name).cloned()),
            Kind::Node => Marks::Node(cluster.nodes().get(&key.name).cloned()),
            Kind::Pod => Marks::Pod(
                cluster
                    .pods()
                    .get(&PodKey::new(&owner(), &key.name))
                    .cloned(),
            ),
            Kind::ServiceAccount => {
                Marks::Labels(cluster.account_labels(&owner(), &key.name).cloned())
            }
            Kind::NetworkSet | Kind::GlobalNetworkSet => {
                Marks::Set(cluster.sets().get(&(namespace, key.name.clone())).cloned())
            }
            Kind::Tier => Marks::Tier(cluster.tier(&key.name)),
            Kind::Policy(kind) => {
                let name = key.name.clone();
                let key = PolicyKey {
                    kind,
                    namespace,
                    name,
                };
                Marks::Policy(cluster.policies().get(&key).cloned())
            }
        }
    }

    /// Notes what has to be worked out again after a change of an object.
    fn mark(&mut self, key: &ObjectKey) {
        let namespace = key.namespace.clone().unwrap_or_default();
        match key.kind {
            Kind::Namespace => {
                self.dirty.namespaces.insert(key.name.clone());
                self.dirty.members = true;
            }
            Kind::Node | Kind::NetworkSet | Kind::GlobalNetworkSet => self.dirty.members = true,
            Kind::Pod => {
                self.dirty.pods.insert(PodKey::new(&namespace, &key.name));
            }
            Kind::ServiceAccount => {
                let pods = self.cluster.pods_of_account(&namespace, &key.name);
                self.dirty.pods.extend(pods.cloned());
            }
            Kind::Tier => {
                let policies = self.cluster.policies().values();
                let own = policies.filter(|policy| policy.tier == key.name);
                self.dirty
                    .policies
                    .extend(own.map(|policy| policy.key.clone()));
            }
            Kind::Policy(kind) => {
                let (namespace, name) = (key.namespace.clone(), key.name.clone());
                self.dirty.policies.insert(PolicyKey {
                    kind,
                    namespace,
                    name,
                });
            }
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
        let outdated = if dirty.members {
            self.tiers.holding_members()
        } else {
            Vec::new()
        };
        self.assign_programs(&reselected, outdated);
        for rule in old_rules {
            self.reasons.release(rule);
        }
        self.policies.reuse();
        self.sweep();
    }

    /// Replaces the version of a policy by the present one.
    fn renew_policy(
        &mut self,
        key: &PolicyKey,
        reselected: &mut Reselected,
        old_rules: &mut Vec<RuleRef>,
    ) {
        if let Some((number, version)) = self.policies.remove(key) {
            for identity in &version.selects {
                let selected = self
                    .selected
                    .get_mut(identity)
                    .expect("a selected identity");
                selected.policies.remove(&number);
            }
            reselected.extend(version.selects);
            old_rules.extend(
                version
                    .rules
                    .iter()
                    .flatten()
                    .flat_map(|rules| rules.iter()),
            );
        }
        let Some(policy) = self.cluster.policies().get(key) else {
            return;
        };
        let number = self.policies.add(policy, &self.cluster.tier(&policy.tier));
        let version = self.policies.get_mut(number);
        let mut namespaces = FxHashMap::default();
        for (identity, selected) in &mut self.selected {
            let slot = self.identities.get(*identity);
            if !may_select(policy, &slot.namespace) {
                continue;
            }
            let namespace_labels = namespaces
                .entry(Arc::clone(&slot.namespace))
                .or_insert_with_key(|name| self.cluster.namespace_labels(name));
            if selection::selects(policy, &slot.namespace, namespace_labels, &slot.labels) {
                selected.policies.insert(number);
                version.selects.insert(*identity);
                reselected.insert(*identity);
            }
        }
    }

    /// A namespace has other labels: every identity in it may have other features and policies.
    fn relabel_namespace(&mut self, namespace: &str, reselected: &mut Reselected) {
        let labels = self.cluster.namespace_labels(namespace);
        let identities: Vec<u32> = self.identities.in_namespace(namespace).collect();
        for identity in identities {
            self.classify(identity, &labels);
            if self.selected.contains_key(&identity) {
                self.select(identity, &labels);
                reselected.insert(identity);
            }
        }
    }

    /// Works out anew which policies select an identity of subjects.
    fn select(&mut self, identity: u32, namespace_labels: &Labels) {
        let slot = self.identities.get(identity);
        let policy = |number: &u32| &self.cluster.policies()[&self.policies.get(*number).key];
        let now: BTreeSet<u32> = self
            .policies
            .candidates(&slot.namespace)
            .into_iter()
            .filter(|number| {
                let policy = policy(number);
                selection::selects(policy, &slot.namespace, namespace_labels, &slot.labels)
            })
            .collect();
        let selected = self.selected.entry(identity).or_default();
        for gone in selected.policies.difference(&now) {
            self.policies.get_mut(*gone).selects.remove(&identity);
        }
        for new in now.difference(&selected.policies) {
            self.policies.get_mut(*new).selects.insert(identity);
        }
        selected.policies = now;
    }

    /// Replaces the endpoint of a pod by the present one.
    fn renew_endpoint(&mut self, key: &PodKey, reselected: &mut Reselected) {
        let before = self.endpoints.remove(key);
        if let Some(endpoint) = self.cluster.endpoint(key) {
            let (identity, is_new) =
                self.identities
                    .acquire(&key.namespace, endpoint.labels, endpoint.named_ports);
            let subject =
                self.subjects == Subjects::All || self.cluster.workloads().contains_key(key);
            self.endpoints.add(Entry {
                key: key.clone(),
                identity,
                addresses: endpoint.addresses,
                claim: endpoint.claim,
                subject,
            });
            if is_new {
                let served = self.names.served(endpoint.named_ports);
                self.identities.slot(identity).served = self.served.number(served);
                let labels = self.cluster.namespace_labels(&key.namespace);
                self.classify(identity, &labels);
            }
            if subject {
                self.add_subject(identity, reselected);
            }
        }
        if let Some(before) = before {
            self.identities.release(before.identity);
            if before.subject {
                self.remove_subject(before.identity, reselected);
            }
        }
    }

    fn add_subject(&mut self, identity: u32, reselected: &mut Reselected) {
        if let Some(selected) = self.selected.get_mut(&identity) {
            selected.endpoints += 1;
            return;
        }
        let namespace = Arc::clone(&self.identities.get(identity).namespace);
        self.select(identity, &self.cluster.namespace_labels(&namespace));
        self.selected.entry(identity).or_default().endpoints = 1;
        reselected.insert(identity);
    }

    fn remove_subject(&mut self, identity: u32, reselected: &mut Reselected) {
        let selected = self
            .selected
            .get_mut(&identity)
            .expect("an identity of subjects");
        selected.endpoints -= 1;
        if selected.endpoints > 0 {
            return;
        }
        let selected = self.selected.remove(&identity).expect("just found");
        for policy in selected.policies {
            self.policies.get_mut(policy).selects.remove(&identity);
        }
        reselected.insert(identity);
    }

    /// Puts an identity into the class of its features.
    fn classify(&mut self, identity: u32, namespace_labels: &Labels) {
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

    fn leave_class(&mut self, class: u32) {
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
            self.tiers.patch(program, class, None, &mut self.names);
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
            self.tiers
                .patch(program, class, Some(features), &mut self.names);
        }
    }

    fn set_class(&mut self, identity: u32, class: u32) {
        let slot = self.identities.slot(identity);
        slot.class = Some(class);
        let served = slot.served;
        self.profiles.set(identity, Profile { class, served });
    }

    /// The feature of a scope for a program. A new one divides the classes that have it in part.
    fn require(&mut self, scope: &Scope, program: u32) {
        let (feature, is_new) = self.features.of(scope);
        if is_new {
            for (class, identities) in self.members(scope) {
                self.divide(class, identities, feature);
            }
        }
        let feature = self.features.get_mut(feature).expect("just required");
        feature.users.insert(program);
    }

    /// The identities in a scope, by their class.
    fn members(&self, scope: &Scope) -> ByClass {
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
                let inside: FxHashSet<&str> = namespaces.iter().map(|name| &***name).collect();
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

    /// Gives each of these identities the programs of its policies, builds what is missing and
    /// rebuilds what is outdated.
    fn assign_programs(&mut self, reselected: &Reselected, outdated: Vec<u32>) {
        let mut to_build = BTreeSet::new();
        let mut released = Vec::new();
        for identity in reselected {
            let before = self.programs.get(*identity).cloned().flatten();
            let selected = self.selected.get(identity);
            let policies = selected.map(|s| s.policies.iter().copied().collect::<Vec<_>>());
            let subject = policies.map(|policies| {
                let mut acquire = |direction| self.acquire(direction, &policies, &mut to_build);
                Subject {
                    ingress: acquire(Direction::Ingress),
                    egress: acquire(Direction::Egress),
                }
            });
            released.extend(
                before
                    .iter()
                    .flat_map(|old| [&old.ingress, &old.egress])
                    .flat_map(|programs| programs.iter().copied()),
            );
            self.programs.set(*identity, subject);
        }
        // Features that programs to come share with programs that go must not go with these.
        for program in &to_build {
            self.require_scopes(*program);
        }
        let gone: BTreeSet<u32> = released.into_iter().filter(|p| self.release(*p)).collect();
        to_build.extend(outdated.iter().filter(|program| !gone.contains(program)));
        for program in &to_build {
            self.build(*program);
        }
    }

    fn acquire(
        &mut self,
        direction: Direction,
        policies: &[u32],
        to_build: &mut BTreeSet<u32>,
    ) -> Arc<[u32]> {
        let applies = |number: &u32| self.policies.get(*number).applies[direction as usize];
        let policies = policies.iter().copied().filter(applies).collect();
        let tiers = self.policies.by_tier(policies);
        let program = |policies| {
            let (number, is_new) = self.tiers.acquire(TierKey {
                direction,
                policies,
            });
            if is_new {
                to_build.insert(number);
            }
            number
        };
        tiers.into_iter().map(program).collect()
    }

    /// True when the program is gone.
    fn release(&mut self, program: u32) -> bool {
        let Some((features, end)) = self.tiers.release(program) else {
            return false;
        };
        for feature in features {
            self.features.leave(feature, program);
        }
        if end != RuleRef::NO_DECISION {
            self.reasons.release(end);
        }
        true
    }

    fn require_scopes(&mut self, program: u32) {
        let TierKey {
            direction,
            policies,
        } = self.tiers.key(program).clone();
        let mut scopes_of = Vec::new();
        for number in policies {
            let policy = &self.cluster.policies()[&self.policies.get(number).key];
            let rules = policy.rules(direction).unwrap_or_default();
            scopes_of.extend(rules.iter().flat_map(scopes).cloned());
        }
        for scope in &scopes_of {
            self.require(scope, program);
        }
    }

    fn build(&mut self, program: u32) {
        let TierKey {
            direction,
            policies,
        } = self.tiers.key(program).clone();
        for number in &policies {
            self.refer_to_rules(*number, direction);
        }
        let of = |number: &u32| {
            let version = self.policies.get(*number);
            (version, &self.cluster.policies()[&version.key])
        };
        let mut rules = Vec::new();
        for (version, policy) in policies.iter().map(of) {
            let denial = self.denial([policy]);
            let references = version.rules[direction as usize]
                .as_deref()
                .unwrap_or_default();
            let own = policy.rules(direction).unwrap_or_default();
            rules.extend(own.iter().zip(references).filter_map(|(rule, reference)| {
                let (action, rule_ref) = (rule.action, *reference);
                let outcome = Outcome {
                    action,
                    rule: rule_ref,
                    denial,
                };
                (action != Action::Log).then_some((rule, outcome))
            }));
        }
        let tier = self.cluster.tier(&self.policies.get(policies[0]).name.tier);
        let names = policies
            .iter()
            .map(|n| Arc::clone(&self.policies.get(*n).name))
            .collect();
        let end = match self.tiers.end(program) {
            RuleRef::NO_DECISION => self.reasons.end_of_tier(direction, names),
            known => known,
        };
        let end = Outcome {
            action: match tier.end {
                EndOfTier::Deny => Action::Deny,
                EndOfTier::Pass => Action::Pass,
            },
            rule: end,
            denial: self.denial(policies.iter().map(|number| of(number).1)),
        };
        let mut context = Context {
            cluster: &self.cluster,
            features: &self.features,
            classes: &self.classes,
            names: &mut self.names,
        };
        self.tiers
            .build(program, &Source { rules, end }, &mut context);
    }

    fn refer_to_rules(&mut self, number: u32, direction: Direction) {
        let version = self.policies.get_mut(number);
        if version.rules[direction as usize].is_some() {
            return;
        }
        let rules = self.cluster.policies()[&version.key].rules(direction);
        let rules = (0..).zip(rules.unwrap_or_default());
        let name = &version.name;
        let refer = |(index, rule): (u32, &crate::model::Rule)| {
            self.reasons.rule(direction, name, index, rule.action)
        };
        version.rules[direction as usize] = Some(rules.map(refer).collect());
    }

    /// How a deny of these policies is carried out: as the first that says so wants.
    fn denial<'p>(&self, policies: impl IntoIterator<Item = &'p Policy> + Clone) -> Denial {
        let mut policies_again = policies.clone().into_iter();
        let reply = policies.into_iter().find_map(|policy| policy.deny);
        let established = policies_again.find_map(|policy| policy.established);
        Denial {
            reply: reply.unwrap_or(self.settings.reply),
            established: established.unwrap_or(self.settings.established),
        }
    }

    fn sweep(&mut self) {
        for (_, identity) in self.identities.sweep() {
            if let Some(class) = identity.class {
                self.leave_class(class);
            }
        }
    }
}

/// What an object contributes to policy, to see whether an event says anything new.
#[derive(PartialEq)]
enum Marks {
    Labels(Option<Labels>),
    Node(Option<Node>),
    Pod(Option<Pod>),
    Set(Option<NetworkSet>),
    Tier(crate::model::Tier),
    Policy(Option<Policy>),
}

fn may_select(policy: &Policy, namespace: &str) -> bool {
    match &policy.subject.namespaces {
        Namespaces::Named(name) => name == namespace,
        Namespaces::Everywhere | Namespaces::Matching(_) => true,
    }
}

impl ServedLists {
    fn number(&mut self, list: Arc<[Served]>) -> u32 {
        if let Some(known) = self.known.get(&list) {
            return *known;
        }
        let next = number(self.known.len());
        self.lists.set(next, Arc::clone(&list));
        self.known.insert(list, next);
        next
    }
}

/// Pods by service account.
impl Cluster {
    fn pods_of_account<'a>(
        &'a self,
        namespace: &str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a PodKey> {
        let from = PodKey::new(namespace, "");
        let namespace = namespace.to_owned();
        self.pods()
            .range(from..)
            .take_while(move |(key, _)| key.namespace == namespace)
            .filter(move |(_, pod)| pod.service_account.as_deref().unwrap_or("default") == name)
            .map(|(key, _)| key)
    }
}
