//! What Calico keeps in an annotation when it stores an object as a custom resource.
//!
//! Since v3.30 the labels and annotations of a v3 object are not those of its
//! crd.projectcalico.org/v1 resource: they stand, as JSON, in the annotation
//! `projectcalico.org/metadata`. Before, that annotation held nothing policy reads.
//!
//! Source: projectcalico/calico, libcalico-go/lib/backend/k8s/resources/resources.go.

use super::Read;
use crate::model::Labels;
use crate::source::yaml::metadata::{Metadata, PolicyAnnotations, policy_annotations, text_map};
use crate::source::yaml::node::Node;
use crate::source::yaml::view::{Map, View};

const ANNOTATION: &str = "projectcalico.org/metadata";

/// All annotations of an object together are no longer (k8s.io/apimachinery, api/validation,
/// `TotalAnnotationSizeLimitB`).
const MAX_BYTES: usize = 256 << 10;

/// The object's labels: its own, and those stored, of which its own win.
pub(super) fn labels(object: &Map<'_>, metadata: &Metadata<'_>) -> Read<Labels> {
    let mut labels = within(object, "labels", |map| text_map(&map.view))?.unwrap_or_default();
    labels.extend(metadata.labels()?);
    Ok(labels)
}

/// What the object's annotations, or those stored, ask of a policy.
pub(super) fn annotations(object: &Map<'_>, metadata: &Metadata<'_>) -> Read<PolicyAnnotations> {
    let own = metadata.policy_annotations()?;
    let stored = within(object, "annotations", policy_annotations)?.unwrap_or_default();
    Ok(PolicyAnnotations {
        deny: own.deny.or(stored.deny),
        established: own.established.or(stored.established),
    })
}

/// Reads a field of the stored metadata, if there is such. An error stands at the annotation.
fn within<T>(object: &Map<'_>, field: &str, read: impl Fn(&Map<'_>) -> Read<T>) -> Read<Option<T>> {
    let annotations = object.require("metadata")?.map()?.get("annotations");
    let Some(annotations) = annotations else {
        return Ok(None);
    };
    let Some(view) = annotations.map()?.get(ANNOTATION) else {
        return Ok(None);
    };
    let text = view.text()?;
    let json = (text.len() <= MAX_BYTES).then(|| serde_json::from_str(text).ok());
    let Some(json) = json.flatten() else {
        let expected = "metadata in JSON, as Calico writes it here, at most 256 KiB";
        return Err(view.invalid(expected));
    };
    let root = Node::of_json(&json);
    let root = View::document(view.file, &root);
    let found = root.map().and_then(|map| match map.get(field) {
        Some(inner) => read(&inner.map()?).map(Some),
        None => Ok(None),
    });
    found.map_err(|error| view.error(error.problem))
}
