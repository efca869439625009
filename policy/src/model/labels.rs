//! Labels: what selectors read.

use std::collections::BTreeMap;

/// Keys and values of an object's labels.
pub type Labels = BTreeMap<String, String>;

/// The label every namespace carries, with its own name as value. The API server sets it and
/// nobody can change it (Kubernetes, "Automatic labelling").
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Calico's twin of [`NAMESPACE_NAME_LABEL`].
pub const CALICO_NAME_LABEL: &str = "projectcalico.org/name";

/// The label Calico adds to pods and network sets of a namespace, with its name.
pub const NAMESPACE_LABEL: &str = "projectcalico.org/namespace";

/// The label Calico adds to pods: [`ORCHESTRATOR`].
pub const ORCHESTRATOR_LABEL: &str = "projectcalico.org/orchestrator";

/// The value of [`ORCHESTRATOR_LABEL`] on a pod of Kubernetes.
pub const ORCHESTRATOR: &str = "k8s";

/// The label Calico adds to pods, with the name of their service account.
pub const SERVICE_ACCOUNT_LABEL: &str = "projectcalico.org/serviceaccount";

/// What Calico puts before the labels of a pod's service account to make them the pod's.
pub const SERVICE_ACCOUNT_PREFIX: &str = "pcsa.";

/// These labels of a namespace and those every namespace has.
pub(crate) fn with_namespace_labels(mut labels: Labels, name: &str) -> Labels {
    for key in [NAMESPACE_NAME_LABEL, CALICO_NAME_LABEL] {
        labels.insert(key.to_owned(), name.to_owned());
    }
    labels
}

/// The labels a pod has besides its own; `account` is the name of its service account and the
/// labels of that.
pub(super) fn add_pod_labels(
    labels: &mut Labels,
    namespace: &str,
    account: Option<(&str, Option<&Labels>)>,
) {
    labels.insert(NAMESPACE_LABEL.to_owned(), namespace.to_owned());
    labels.insert(ORCHESTRATOR_LABEL.to_owned(), ORCHESTRATOR.to_owned());
    let Some((name, own)) = account else { return };
    labels.insert(SERVICE_ACCOUNT_LABEL.to_owned(), name.to_owned());
    for (key, value) in own.into_iter().flatten() {
        labels.insert(format!("{SERVICE_ACCOUNT_PREFIX}{key}"), value.clone());
    }
}
