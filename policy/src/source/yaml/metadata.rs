//! `metadata`: names, labels, annotations.

use super::ManifestError;
use super::validate::object_name;
use super::view::{Map, View};
use crate::model::Labels;

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
        match self.map.get("namespace") {
            Some(view) => Ok(object_name(&view)?.to_owned()),
            None => Ok("default".to_owned()),
        }
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

    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, ManifestError> {
        self.map.get(field).map(|view| view.text()).transpose()
    }
}

/// A map of text to text.
fn text_map(view: &View<'_>) -> Result<Labels, ManifestError> {
    let entries = view.map()?;
    entries
        .entries()
        .map(|(key, value)| Ok((key.name.clone(), value.text()?.to_owned())))
        .collect()
}
