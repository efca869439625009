//! Objects: what a source hands to the cluster.

use std::fmt;

use super::{Labels, NetworkSet, Node, Pod, Policy, PolicyKey, PolicyKind, Tier};

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
    /// A service account and its labels.
    ServiceAccount {
        /// The account's namespace.
        namespace: String,
        /// The account's name.
        name: String,
        /// Its labels.
        labels: Labels,
    },
    /// A network set of either scope.
    NetworkSet(NetworkSet),
    /// A tier.
    Tier(Tier),
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
    /// v1 ServiceAccount.
    ServiceAccount,
    /// projectcalico.org/v3 NetworkSet.
    NetworkSet,
    /// projectcalico.org/v3 GlobalNetworkSet.
    GlobalNetworkSet,
    /// projectcalico.org/v3 Tier.
    Tier,
    /// A policy of this kind.
    Policy(PolicyKind),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => f.write_str("Namespace"),
            Self::Pod => f.write_str("Pod"),
            Self::Node => f.write_str("Node"),
            Self::ServiceAccount => f.write_str("ServiceAccount"),
            Self::NetworkSet => f.write_str("NetworkSet"),
            Self::GlobalNetworkSet => f.write_str("GlobalNetworkSet"),
            Self::Tier => f.write_str("Tier"),
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
            Self::Namespace { name, .. } => key(Kind::Namespace, None, name),
            Self::Node(node) => key(Kind::Node, None, &node.name),
            Self::Tier(tier) => key(Kind::Tier, None, &tier.name),
            Self::Pod(pod) => key(Kind::Pod, Some(&pod.namespace), &pod.name),
            Self::ServiceAccount {
                namespace, name, ..
            } => key(Kind::ServiceAccount, Some(namespace), name),
            Self::NetworkSet(set) => set.key(),
            Self::Policy(policy) => ObjectKey::from(&policy.key),
        }
    }
}

impl NetworkSet {
    /// The set's key.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        let kind = match self.namespace {
            Some(_) => Kind::NetworkSet,
            None => Kind::GlobalNetworkSet,
        };
        key(kind, self.namespace.as_deref(), &self.name)
    }
}

fn key(kind: Kind, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        kind,
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}
