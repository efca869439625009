//! What is not known of a pod's labels, and whether policies would have to know.
//!
//! A selector reads a label nobody knows as absent, which `NotIn`, `DoesNotExist` and Calico's `!`
//! take for a yes: a pod must not be let in, or past a denial, because its object is read late.
//! It does not matter whether a policy would select the pod or only name it as a peer.

use policy::{
    Cluster,
    model::{End, Labels, Members, Namespaces, Peers, Policy, Rule, Scope, Selector},
};

/// A pod of which not every label is known. Pods with equal doubts are equally isolated.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Doubt<'a> {
    pub(super) namespace: &'a str,
    pub(super) namespace_labels: Facts,
    pub(super) labels: Facts,
}

/// Labels, as far as they are known.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Facts {
    pub(super) labels: Labels,
    /// There are no others.
    pub(super) complete: bool,
}

impl Doubt<'_> {
    /// Whether there is a policy that has to know more.
    pub(super) fn matters(&self, cluster: &Cluster) -> bool {
        let mut policies = cluster.policies().values();
        policies.any(|policy| self.is_asked_by(policy))
    }

    fn is_asked_by(&self, policy: &Policy) -> bool {
        let mut rules = policy.ingress.iter().chain(&policy.egress).flatten();
        self.is_asked_by_scope(&policy.subject) || rules.any(|rule| self.is_asked_by_rule(rule))
    }

    fn is_asked_by_rule(&self, rule: &Rule) -> bool {
        let peers = match &rule.peers {
            Peers::Any => &[][..],
            Peers::OneOf(ends) => ends,
        };
        let mut ends = rule.subject.iter().chain(peers);
        ends.any(|end| self.is_asked_by_end(end))
    }

    fn is_asked_by_end(&self, end: &End) -> bool {
        let mut scopes = end.scope.iter().chain(&end.not_scope);
        scopes.any(|scope| self.is_asked_by_scope(scope))
    }

    fn is_asked_by_scope(&self, scope: &Scope) -> bool {
        if scope.members == Members::Nodes {
            return false;
        }
        let in_namespace = match &scope.namespaces {
            Namespaces::Everywhere => Some(true),
            Namespaces::Named(name) => Some(name == self.namespace),
            Namespaces::Matching(selector) => self.namespace_labels.say(selector),
        };
        in_namespace != Some(false)
            && match self.labels.say(&scope.labels) {
                Some(meant) => meant && in_namespace.is_none(),
                None => true,
            }
    }
}

impl Facts {
    /// Whether the selector holds; `None` = that depends on labels that are not known.
    fn say(&self, selector: &Selector) -> Option<bool> {
        match selector {
            Selector::Not(inner) => self.say(inner).map(|holds| !holds),
            Selector::All(parts) => self.say_of_all(parts, true),
            Selector::Any(parts) => self.say_of_all(parts, false),
            Selector::In(key, _)
            | Selector::Has(key)
            | Selector::StartsWith(key, _)
            | Selector::EndsWith(key, _)
            | Selector::Contains(key, _) => {
                let known = self.complete || self.labels.contains_key(key);
                known.then(|| selector.matches(&self.labels))
            }
        }
    }

    /// `answer` if every part says so, its opposite if one says that.
    fn say_of_all(&self, parts: &[Selector], answer: bool) -> Option<bool> {
        let mut said = Some(answer);
        for part in parts {
            match self.say(part) {
                Some(part) if part == answer => {}
                Some(part) => return Some(part),
                None => said = None,
            }
        }
        said
    }
}
