//! Pods that the policy directory got to know a moment ago.
//!
//! A runtime's ADD often comes right behind the Pod object. The directory as a whole is read only
//! when it has been quiet, since half of a change must not be in force; but to know a new pod's
//! labels its own object is enough, so an ADD looks at the files that are new or changed and takes
//! the Pod and Namespace objects from them, nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use policy::Object;

use super::watch::Seen;

/// Who can be asked for objects that changed since it was last asked.
pub trait PodSource: Send {
    /// Pods and Namespaces in what is new or changed; what cannot be read is left to the watcher.
    fn changed(&mut self) -> Vec<Object>;
}

/// The policy directory as a [`PodSource`].
pub struct Newcomers {
    directory: PathBuf,
    seen: Seen,
}

impl Newcomers {
    /// Of this directory, which was read when it looked so.
    #[must_use]
    pub fn of(directory: PathBuf, seen: Seen) -> Self {
        Self { directory, seen }
    }
}

impl PodSource for Newcomers {
    fn changed(&mut self) -> Vec<Object> {
        let now = Seen::look(&self.directory);
        let changed = now.changed_since(&self.seen);
        self.seen = now;
        changed.iter().flat_map(|file| pods_of(file)).collect()
    }
}

fn pods_of(file: &Path) -> Vec<Object> {
    let is_yaml = file.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let text = is_yaml.then(|| fs::read_to_string(file).ok()).flatten();
    let objects = text.and_then(|text| policy::parse(&file.to_string_lossy(), &text).ok());
    let is_pod = |object: &Object| matches!(object, Object::Pod(_) | Object::Namespace { .. });
    let pods = objects.into_iter().flatten().filter(is_pod);
    pods.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
    const DENY: &str = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {name: deny, namespace: shop}\nspec: {podSelector: {}}\n";

    #[test]
    fn only_what_changed_is_told_and_only_pods_and_namespaces() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("old.yaml", SHOP);
        let seen = Seen::look(directory.path());
        let mut newcomers = Newcomers::of(directory.path().to_owned(), seen);
        assert_eq!(newcomers.changed(), []);
        write("new.yaml", &format!("{SHOP}{DENY}"));
        write("broken.yaml", "kind: [");
        write("notes.txt", SHOP);
        let keys: Vec<String> = newcomers
            .changed()
            .iter()
            .map(|object| object.key().to_string())
            .collect();
        assert_eq!(keys, ["Namespace shop"]);
        assert_eq!(newcomers.changed(), []);
    }
}
