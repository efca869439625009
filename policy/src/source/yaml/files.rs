//! Any number of texts as one cluster: files, directories, standard input.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::ManifestError;
use super::directory::{Loader, manifests};
use super::node::{Node, Value, documents};
use crate::model::{Cluster, ObjectKey};

/// A manifest that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What to call it in errors.
    pub file: String,
    /// What it says.
    pub text: String,
}

/// What the texts say together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The cluster.
    pub cluster: Cluster,
    /// Where each object stands, as `file:line`.
    pub places: BTreeMap<ObjectKey, String>,
}

/// Reads a file, or the manifests of a directory as [`super::load_dir`] does.
///
/// # Errors
/// The file, the directory or one of its manifests cannot be read.
pub fn read(path: &Path) -> Result<Vec<Text>, ManifestError> {
    let unreadable =
        |path: &Path, cause| ManifestError::unreadable(&path.display().to_string(), &cause);
    let files = match path.is_dir() {
        true => manifests(path).map_err(|cause| unreadable(path, cause))?,
        false => vec![path.to_owned()],
    };
    let text = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).map_err(|cause| unreadable(path, cause))?;
        let file = path.display().to_string();
        Ok(Text { file, text })
    };
    files.iter().map(text).collect()
}

/// The cluster these texts describe. An object may stand in one of them only.
///
/// # Errors
/// Everything found wrong in any of them, in order: see [`super::parse`]; an object that stands in
/// two places.
pub fn load(texts: &[Text]) -> Result<Loaded, Vec<ManifestError>> {
    let mut loader = Loader::default();
    for text in texts {
        loader.add_text(&text.file, &text.text);
    }
    if loader.errors.is_empty() {
        Ok(Loaded {
            cluster: loader.cluster,
            places: loader.defined,
        })
    } else {
        Err(loader.errors)
    }
}

/// The documents of a text as they are written, whatever they are; none of a text that is not
/// YAML.
pub(crate) fn values(text: &Text) -> Vec<serde_json::Value> {
    let documents = documents(&text.file, &text.text).unwrap_or_default();
    documents.iter().map(plain).collect()
}

fn plain(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(value) => value.as_str().into(),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, node)| (key.name.clone(), plain(node)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n";

    fn text(file: &str, text: &str) -> Text {
        Text {
            file: file.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn every_object_is_remembered_with_its_place() {
        let loaded = load(&[text("a", ""), text("b", &format!("---\n{NAMESPACE}"))]).unwrap();
        let places: Vec<_> = loaded.places.values().collect();
        assert_eq!(places, ["b:2"]);
        assert!(loaded.cluster.namespaces().contains_key("shop"));
    }

    #[test]
    fn an_object_of_two_texts_is_an_error_that_names_both() {
        let errors = load(&[text("a", NAMESPACE), text("b", NAMESPACE)]).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "b:1:1: Namespace shop was already defined at a:1"
        );
    }

    #[test]
    fn a_file_that_is_given_twice_is_an_error_that_says_so() {
        let errors = load(&[text("a", NAMESPACE), text("a", NAMESPACE)]).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "a:1:1: Namespace shop was already defined at a:1; is this file given twice?"
        );
    }

    #[test]
    fn a_file_is_read_whatever_it_is_called_and_a_directory_for_its_manifests() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.json", "notes.txt"] {
            fs::write(directory.path().join(name), NAMESPACE).unwrap();
        }
        let names = |texts: Vec<Text>| -> Vec<String> {
            let file = |text: Text| text.file.rsplit('/').next().unwrap_or_default().to_owned();
            texts.into_iter().map(file).collect()
        };
        assert_eq!(names(read(directory.path()).unwrap()), ["a.json", "b.yaml"]);
        let file = directory.path().join("notes.txt");
        assert_eq!(names(read(&file).unwrap()), ["notes.txt"]);
        let error = read(&directory.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }
}
