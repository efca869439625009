//! Labels: what selectors read.

use std::collections::BTreeMap;

/// Keys and values of an object's labels.
pub type Labels = BTreeMap<String, String>;

/// The label every namespace carries, with its own name as value. The API server sets it and
/// nobody can change it (Kubernetes, "Automatic labelling").
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
