//! Scopes: which endpoints are meant.

use super::{Labels, Selector};

/// Members of the cluster, by kind, namespace and labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The kinds of object meant.
    pub members: Members,
    /// The namespaces they are in.
    pub namespaces: Namespaces,
    /// What their labels satisfy.
    pub labels: Selector,
}

/// Kinds of object a scope can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Members {
    /// Pods with an identity.
    Pods,
    /// Pods with an identity and the addresses of network sets: what Calico's selectors mean.
    PodsAndSets,
    /// The addresses of nodes; they are in no namespace.
    Nodes,
}

/// Which namespaces are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Namespaces {
    /// All of them, and what is in none.
    Everywhere,
    /// The one of this name.
    Named(String),
    /// Those whose labels match. What is in no namespace is asked with no labels.
    Matching(Selector),
}

impl Namespaces {
    /// Is an object in this namespace (`None`: cluster-wide) with those labels meant? The namespace
    /// without a name is that of containers that are no pods, whom nothing means.
    #[must_use]
    pub fn contain(&self, namespace: Option<&str>, namespace_labels: &Labels) -> bool {
        match self {
            _ if namespace == Some("") => false,
            Self::Everywhere => true,
            Self::Named(name) => namespace == Some(name),
            Self::Matching(selector) => selector.matches(namespace_labels),
        }
    }
}

impl Scope {
    /// Pods of these namespaces that satisfy the selector.
    #[must_use]
    pub fn pods(namespaces: Namespaces, labels: Selector) -> Self {
        Self {
            members: Members::Pods,
            namespaces,
            labels,
        }
    }

    /// Does an object of a fitting kind with these labels, in that namespace, belong?
    #[must_use]
    pub fn matches(
        &self,
        namespace: Option<&str>,
        namespace_labels: &Labels,
        labels: &Labels,
    ) -> bool {
        self.namespaces.contain(namespace, namespace_labels) && self.labels.matches(labels)
    }
}
