//! Objects: what a source hands to the cluster.

use std::fmt;

use super::{Labels, Node, Pod, Policy, PolicyKey, PolicyKind};

/// Something a source has read.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A namespace and its labels.
    Namespace {
        /// The namespace's name.
        name: String,
        /// Its labels as written; the name label is added by the cluster.
        labels: Labels,
    },
    /// A pod.
    Pod(Pod),
    /// A node.
    Node(Node),
    /// A policy of any dialect.
    Policy(Policy),
}

/// The kind half of an [`ObjectKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// v1 Namespace.
    Namespace,
    /// v1 Pod.
    Pod,
    /// v1 Node.
    Node,
    /// A policy of this kind.
    Policy(PolicyKind),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => f.write_str("Namespace"),
            Self::Pod => f.write_str("Pod"),
            Self::Node => f.write_str("Node"),
            Self::Policy(kind) => kind.fmt(f),
        }
    }
}

/// What names an object. Two objects with the same key are versions of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The object's kind.
    pub kind: Kind,
    /// Its namespace; `None` for cluster-wide kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl From<&PolicyKey> for ObjectKey {
    fn from(key: &PolicyKey) -> Self {
        Self {
            kind: Kind::Policy(key.kind),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }
}

impl Object {
    /// The object's key.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Namespace { name, .. } => cluster_wide(Kind::Namespace, name),
            Self::Node(node) => cluster_wide(Kind::Node, &node.name),
            Self::Pod(pod) => ObjectKey {
                kind: Kind::Pod,
                namespace: Some(pod.namespace.clone()),
                name: pod.name.clone(),
            },
            Self::Policy(policy) => ObjectKey::from(&policy.key),
        }
    }
}

fn cluster_wide(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey {
        kind,
        namespace: None,
        name: name.to_owned(),
    }
}
