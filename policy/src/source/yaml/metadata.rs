//! `metadata`: names, labels, annotations.

use super::validate::object_name;
use super::view::{Map, View};
use super::{ManifestError, Problem};
use crate::model::{Established, Labels, Reply};

/// Every field of ObjectMeta; all but a few are ignored.
const OBJECT_META: [&str; 16] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
    "clusterName",
];

/// What our annotations on policies begin with.
const OURS: &str = "vswitchd/";
const DENY: &str = "vswitchd/deny";
const ESTABLISHED: &str = "vswitchd/established";

/// What a policy's annotations ask for, where they do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PolicyAnnotations {
    pub(super) deny: Option<Reply>,
    pub(super) established: Option<Established>,
}

/// The metadata of an object.
#[derive(Debug)]
pub(super) struct Metadata<'a> {
    map: Map<'a>,
    pub(super) name: String,
}

impl<'a> Metadata<'a> {
    pub(super) fn of(object: &Map<'a>) -> Result<Self, ManifestError> {
        let map = object.require("metadata")?.map()?;
        let name = object_name(&map.require("name")?)?.to_owned();
        Ok(Self { map, name })
    }

    /// Refuses what is no field of ObjectMeta.
    pub(super) fn only_known_fields(&self) -> Result<(), ManifestError> {
        self.map.only(&OBJECT_META)
    }

    /// The namespace; "default" when none is written, as kubectl does.
    pub(super) fn namespace(&self) -> Result<String, ManifestError> {
        match self.written_namespace()? {
            Some(view) => Ok(object_name(&view)?.to_owned()),
            None => Ok("default".to_owned()),
        }
    }

    /// The namespace as it is written. An empty one is none, as the API server has it.
    pub(super) fn written_namespace(&self) -> Result<Option<View<'a>>, ManifestError> {
        let Some(view) = self.map.get("namespace") else {
            return Ok(None);
        };
        Ok((!view.text()?.is_empty()).then_some(view))
    }

    pub(super) fn labels(&self) -> Result<Labels, ManifestError> {
        self.map
            .get("labels")
            .map_or(Ok(Labels::new()), |view| text_map(&view))
    }

    pub(super) fn annotation(&self, name: &str) -> Result<Option<&'a str>, ManifestError> {
        let Some(annotations) = self.map.get("annotations") else {
            return Ok(None);
        };
        annotations
            .map()?
            .get(name)
            .map(|view| view.text())
            .transpose()
    }

    /// What a policy's annotations ask for. Any other annotation of ours is a mistake.
    pub(super) fn policy_annotations(&self) -> Result<PolicyAnnotations, ManifestError> {
        match self.map.get("annotations") {
            Some(annotations) => policy_annotations(&annotations.map()?),
            None => Ok(PolicyAnnotations::default()),
        }
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, ManifestError> {
        self.map.get(field).map(|view| view.text()).transpose()
    }
}

/// What these annotations ask of a policy.
pub(super) fn policy_annotations(map: &Map<'_>) -> Result<PolicyAnnotations, ManifestError> {
    let mut read = PolicyAnnotations::default();
    for (key, value) in map.entries() {
        match key.name.as_str() {
            DENY => {
                read.deny = Some(match value.text()? {
                    "drop" => Reply::Drop,
                    "reject" => Reply::Reject,
                    _ => return Err(value.invalid("drop or reject")),
                });
            }
            ESTABLISHED => {
                read.established = Some(match value.text()? {
                    "recheck" => Established::Recheck,
                    "keep" => Established::Keep,
                    _ => return Err(value.invalid("recheck or keep")),
                });
            }
            other if other.starts_with(OURS) => {
                let accepted = format!("{DENY}, {ESTABLISHED}, annotations of others");
                return Err(map.key_error(key, Problem::UnknownField { accepted }));
            }
            _ => {}
        }
    }
    Ok(read)
}

/// A map of text to text.
pub(super) fn text_map(view: &View<'_>) -> Result<Labels, ManifestError> {
    let entries = view.map()?;
    entries
        .entries()
        .map(|(key, value)| Ok((key.name.clone(), value.text()?.to_owned())))
        .collect()
}
