//! Pods that the policy directory got to know a moment ago.
//!
//! A runtime's ADD often comes right behind the Pod object. The directory as a whole is read only
//! when it has been quiet, since half of a change must not be in force; but to know a new pod's
//! labels its own object is enough, so an ADD looks for its pod and its namespace, nothing else, in
//! the files that are new or changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use policy::{Object, ObjectKey};

use super::watch::Seen;

/// Who can be asked for objects that are newer than the last whole reading.
pub trait PodSource: Send {
    /// Those of these Pods and Namespaces that are in what is new or changed; what cannot be read
    /// is left to the watcher.
    fn find(&mut self, wanted: &BTreeSet<ObjectKey>) -> Vec<Object>;
}

/// The policy directory as a [`PodSource`].
pub struct Newcomers {
    directory: PathBuf,
    seen: Seen,
    /// What stands in the files that changed since the daemon started.
    heard: BTreeMap<PathBuf, Vec<Object>>,
}

impl Newcomers {
    /// Of this directory, which was read when it looked so.
    #[must_use]
    pub fn of(directory: PathBuf, seen: Seen) -> Self {
        Self {
            directory,
            seen,
            heard: BTreeMap::new(),
        }
    }

    fn listen(&mut self) {
        let now = Seen::look(&self.directory);
        self.heard.retain(|file, _| now.has(file));
        for file in now.changed_since(&self.seen) {
            let pods = pods_of(&file);
            self.heard.insert(file, pods);
        }
        self.seen = now;
    }
}

impl PodSource for Newcomers {
    fn find(&mut self, wanted: &BTreeSet<ObjectKey>) -> Vec<Object> {
        if wanted.is_empty() {
            return Vec::new();
        }
        self.listen();
        let heard = self.heard.values().flatten();
        heard
            .filter(|object| wanted.contains(&object.key()))
            .cloned()
            .collect()
    }
}

fn pods_of(file: &Path) -> Vec<Object> {
    let is_manifest = policy::is_manifest(file) && file.is_file();
    let text = is_manifest.then(|| fs::read_to_string(file).ok()).flatten();
    let objects = text.and_then(|text| policy::parse(&file.to_string_lossy(), &text).ok());
    let is_pod = |object: &Object| matches!(object, Object::Pod(_) | Object::Namespace { .. });
    let pods = objects.into_iter().flatten().filter(is_pod);
    pods.collect()
}

#[cfg(test)]
mod tests {
    use policy::model::Kind;

    use super::*;

    const SHOP: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
    const DENY: &str = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {name: deny, namespace: shop}\nspec: {podSelector: {}}\n";

    const BOOK: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: book}\n";

    fn namespace(name: &str) -> ObjectKey {
        ObjectKey {
            kind: Kind::Namespace,
            namespace: None,
            name: name.into(),
        }
    }

    fn found(newcomers: &mut Newcomers, wanted: &[ObjectKey]) -> Vec<String> {
        let wanted = wanted.iter().cloned().collect();
        let found = newcomers.find(&wanted);
        found.iter().map(|found| found.key().to_string()).collect()
    }

    #[test]
    fn only_what_changed_is_told_and_only_what_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("old.yaml", SHOP);
        let seen = Seen::look(directory.path());
        let mut newcomers = Newcomers::of(directory.path().to_owned(), seen);
        let (shop, book) = (namespace("shop"), namespace("book"));
        assert!(found(&mut newcomers, std::slice::from_ref(&shop)).is_empty());
        write("new.yaml", &format!("{SHOP}{DENY}---\n{BOOK}"));
        write("broken.yaml", "kind: [");
        let policy = objects_of(DENY)[0].key();
        assert!(found(&mut newcomers, &[policy, namespace("other")]).is_empty());
        assert_eq!(found(&mut newcomers, &[shop]), ["Namespace shop"]);
        assert_eq!(
            found(&mut newcomers, std::slice::from_ref(&book)),
            ["Namespace book"]
        );
        fs::remove_file(directory.path().join("new.yaml")).unwrap();
        assert!(found(&mut newcomers, &[book]).is_empty(), "not there now");
    }

    #[test]
    fn the_files_are_those_that_a_whole_reading_takes() {
        for (name, is_read) in [
            ("a.yaml", true),
            ("a.yml", true),
            ("a.json", true),
            (".a.yaml", false),
            ("a.txt", false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let seen = Seen::look(directory.path());
            let mut newcomers = Newcomers::of(directory.path().to_owned(), seen);
            fs::write(directory.path().join(name), SHOP).unwrap();
            let found = found(&mut newcomers, &[namespace("shop")]);
            assert_eq!(!found.is_empty(), is_read, "{name}");
            let whole = policy::load_dir(directory.path()).unwrap();
            assert_eq!(!whole.namespaces().is_empty(), is_read, "{name}");
        }
    }

    fn objects_of(text: &str) -> Vec<Object> {
        policy::parse("t.yaml", text).unwrap()
    }
}
