//! Kubernetes manifests: YAML or JSON text -> [`Object`]s.
//!
//! Accepted are v1 Namespace, Pod, Node, ServiceAccount and List, networking.k8s.io/v1
//! NetworkPolicy, [Calico's](calico) policies, tiers and network sets, policy.networking.k8s.io
//! [ClusterNetworkPolicy](cluster_network_policy), and the typed lists `kubectl get` writes
//! (`PodList` ...), any number of documents in a file. In a policy an unknown field is an error, because a misspelt rule must never be silence; of the other
//! kinds only the fields policy needs are read, as they come from a running cluster.
//!
//! A file becomes a [tree](node) that remembers where everything stood; [views](view) walk it and
//! know the path of the field they are at. So every error has file, line, column and field.

mod calico;
mod cluster_network_policy;
mod directory;
mod error;
mod files;
mod metadata;
mod network_policy;
mod node;
mod object;
mod pod;
mod selector;
#[cfg(test)]
mod tests;
mod validate;
mod view;

pub use directory::{is_manifest, load_dir};
pub use error::{ManifestError, Problem};
pub(crate) use files::values;
pub use files::{Loaded, Text, load, read};

use crate::model::Object;
use object::Manifest;

/// Reads every object of a text. `file` only names the text in errors. A null document holds none.
///
/// # Errors
/// The first error of each object that has one, in order of appearance; for a text that is not
/// YAML, that one error.
pub fn parse(file: &str, text: &str) -> Result<Vec<Object>, Vec<ManifestError>> {
    let mut manifest = Manifest::default();
    manifest.read(file, text);
    if manifest.errors.is_empty() {
        Ok(manifest
            .objects
            .into_iter()
            .map(|located| located.object)
            .collect())
    } else {
        Err(manifest.errors)
    }
}
