//! A directory of manifests as one cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::object::{Located, Manifest};
use super::{ManifestError, Problem};
use crate::model::{Cluster, ObjectKey};

/// Reads every `*.yaml`, `*.yml` and `*.json` in a directory, in order of name, not descending.
/// Names that begin with a dot are left out: editors and mounted ConfigMaps use them.
///
/// # Errors
/// Everything found wrong in any file, in order: see [`super::parse`]; a file that cannot be read;
/// an object that stands in two places.
pub fn load_dir(path: &Path) -> Result<Cluster, Vec<ManifestError>> {
    let files = manifests(path).map_err(|cause| {
        vec![ManifestError::unreadable(
            &path.display().to_string(),
            &cause,
        )]
    })?;
    let mut loader = Loader::default();
    for file in files {
        loader.add(&file);
    }
    if loader.errors.is_empty() {
        Ok(loader.cluster)
    } else {
        Err(loader.errors)
    }
}

/// Puts what stands in several files together.
#[derive(Default)]
pub(super) struct Loader {
    pub(super) cluster: Cluster,
    /// File and line of every object.
    pub(super) defined: BTreeMap<ObjectKey, String>,
    pub(super) errors: Vec<ManifestError>,
}

impl Loader {
    fn add(&mut self, path: &Path) {
        let file = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => self.add_text(&file, &text),
            Err(cause) => self.errors.push(ManifestError::unreadable(&file, &cause)),
        }
    }

    pub(super) fn add_text(&mut self, file: &str, text: &str) {
        let mut manifest = Manifest::default();
        manifest.read(file, text);
        self.errors.append(&mut manifest.errors);
        for located in manifest.objects {
            self.define(file, located);
        }
    }

    fn define(&mut self, file: &str, located: Located) {
        let key = located.object.key();
        let (line, column) = (located.place.line, located.place.column);
        if let Some(first) = self.defined.get(&key) {
            let same = *first == format!("{file}:{line}");
            let hint = if same {
                "; is this file given twice?"
            } else {
                ""
            };
            let problem = Problem::Duplicate {
                object: key.to_string(),
                first: format!("{first}{hint}"),
            };
            let (file, field) = (file.to_owned(), String::new());
            self.errors.push(ManifestError {
                file,
                line,
                column,
                field,
                problem,
            });
            return;
        }
        self.defined.insert(key, format!("{file}:{line}"));
        self.cluster.apply(located.object);
    }
}

/// The manifests of a directory, in order of name.
pub(super) fn manifests(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if is_manifest(&path) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether [`load_dir`] reads a file of this name.
#[must_use]
pub fn is_manifest(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}
