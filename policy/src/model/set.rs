//! Network sets: addresses outside the cluster that carry labels.

use ipnet::IpNet;

use super::{Labels, NAMESPACE_LABEL};

/// A NetworkSet or GlobalNetworkSet of Calico.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSet {
    /// Its namespace; `None` for a GlobalNetworkSet.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its labels as written.
    pub labels: Labels,
    /// Its addresses, pods' among them if they lie inside.
    pub nets: Vec<IpNet>,
}

impl NetworkSet {
    /// What selectors read: its labels and, in a namespace, that.
    #[must_use]
    pub fn effective_labels(&self) -> Labels {
        let mut labels = self.labels.clone();
        if let Some(namespace) = &self.namespace {
            labels.insert(NAMESPACE_LABEL.to_owned(), namespace.clone());
        }
        labels
    }
}
