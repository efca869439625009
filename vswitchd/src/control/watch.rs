//! The policy directory: read at start, read again whenever it changes.
//!
//! Changes are noticed by inotify (through `notify`) and, should that be unavailable or miss
//! something (a directory replaced as a whole, a network file system), by looking at names, sizes
//! and times every two seconds. Bursts are awaited: a reading starts when nothing has changed for
//! 200 ms, and after a second even if something always does. Every good reading is copied to the
//! state directory: a restart while the directory is broken starts from the last good policies, not from none.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use notify::{EventKind, RecursiveMode, Watcher};
use tracing::{debug, warn};

use super::{Message, Update};

/// How long a directory must be quiet before it is read.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Who never is quiet is read after this long: somebody's changes must not hold back everybody's policies.
const LONGEST: Duration = Duration::from_secs(1);
/// How often it is looked at when nothing is heard.
const LOOK: Duration = Duration::from_secs(2);

/// Policies cannot be known: neither the directory nor a last good copy of it can be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the policies in {} cannot be loaded and there is no last good copy; the daemon does not start \
     rather than leave pods unprotected:\n{}",
    directory.display(),
    errors.join("\n")
)]
pub struct NoPolicies {
    /// The policy directory.
    pub directory: PathBuf,
    /// What is wrong, a line each, with file, line and column.
    pub errors: Vec<String>,
}

/// The policies a daemon starts with.
pub struct Initial {
    /// What is in force.
    pub cluster: Arc<policy::Cluster>,
    /// Why it is not what the directory says; empty = it is.
    pub errors: Vec<String>,
    /// What the directory looked like before it was read.
    pub seen: Seen,
}

/// Reads the directory once. A wrong one, or none where there was one: the last good copy. Only
/// where there never was one, everything is allowed.
///
/// # Errors
/// A wrong directory and no copy, or no directory and a wrong copy.
pub fn initial(directory: &Path, copy: &Path) -> Result<Initial, NoPolicies> {
    let seen = look(directory);
    let found = |cluster, errors| Initial {
        cluster: Arc::new(cluster),
        errors,
        seen,
    };
    let copy_there = last_good(copy);
    let mut errors = match is_absent(directory) {
        true if copy_there.is_none() => {
            warn!(directory = %directory.display(), "no such policy directory: everything is allowed");
            return Ok(found(policy::Cluster::new(), Vec::new()));
        }
        true => vec![format!(
            "{}: expected the directory these policies came from, found none; to have no \
             policies, leave it empty or take policy_dir out of the configuration",
            directory.display()
        )],
        false => match load(directory) {
            Ok(cluster) => {
                keep(directory, copy);
                return Ok(found(cluster, Vec::new()));
            }
            Err(errors) => errors,
        },
    };
    match copy_there.map(|copy| load(&copy)) {
        Some(Ok(cluster)) => Ok(found(cluster, errors)),
        wrong_copy => {
            errors.extend(wrong_copy.and_then(Result::err).unwrap_or_default());
            Err(NoPolicies {
                directory: directory.to_owned(),
                errors,
            })
        }
    }
}

/// Is it certain that there is no such directory? (One that may not be looked at is not absent.)
fn is_absent(directory: &Path) -> bool {
    directory.try_exists().is_ok_and(|there| !there)
}

/// The last good copy; the one before it, if the daemon died while it put a new one in place.
fn last_good(copy: &Path) -> Option<PathBuf> {
    let copies = [copy.to_owned(), copy.with_extension("old")];
    copies.into_iter().find(|copy| copy.is_dir())
}

/// Starts a thread that reads the directory whenever it changes and tells the engine. It ends when
/// the engine's inbox is closed.
///
/// # Errors
/// No thread can be started.
pub fn watch(
    directory: PathBuf,
    copy: PathBuf,
    mut seen: Seen,
    engine: Sender<Message>,
) -> io::Result<()> {
    let (wake, woken) = bounded(1);
    let run = move || {
        let mut ears = listen(&directory, wake.clone());
        while let Some(now) = next_change(&directory, &woken, &seen) {
            seen = now;
            if engine
                .send(Message::Update(read(&directory, &copy)))
                .is_err()
            {
                return;
            }
            // The directory may be another one by now.
            ears = listen(&directory, wake.clone()).or(ears);
            // What the old ears had not reported yet, nobody reports.
            let _ = wake.try_send(());
        }
    };
    thread::Builder::new()
        .name("policy-watch".into())
        .spawn(run)?;
    Ok(())
}

/// What the files of a directory look like without reading them: sizes and times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(Option<BTreeMap<PathBuf, (u64, Option<SystemTime>)>>);

impl Seen {
    /// What the directory looks like now.
    #[must_use]
    pub fn look(directory: &Path) -> Self {
        look(directory)
    }

    /// The files that were not there before, or looked different.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Vec<PathBuf> {
        let was = |path| before.0.as_ref().and_then(|files| files.get(path));
        let files = self.0.iter().flatten();
        let changed = files.filter(|(path, looks)| was(*path) != Some(*looks));
        changed.map(|(path, _)| path.clone()).collect()
    }

    /// Was this file there?
    #[must_use]
    pub fn has(&self, file: &Path) -> bool {
        self.0
            .as_ref()
            .is_some_and(|files| files.contains_key(file))
    }
}

fn look(directory: &Path) -> Seen {
    let Ok(entries) = fs::read_dir(directory) else {
        return Seen(None);
    };
    let entries = entries.flatten();
    let files = entries.filter_map(|entry| {
        let path = entry.path();
        let metadata = fs::metadata(&path).ok()?; // through symbolic links, as ConfigMaps use them
        Some((path, (metadata.len(), metadata.modified().ok())))
    });
    Seen(Some(files.collect()))
}

/// Waits until the directory looks different and has been quiet for a moment, or restless for too long.
fn next_change(directory: &Path, woken: &Receiver<()>, seen: &Seen) -> Option<Seen> {
    loop {
        if woken.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected) {
            return None;
        }
        let mut now = look(directory);
        if now == *seen {
            continue;
        }
        let noticed = Instant::now();
        loop {
            thread::sleep(DEBOUNCE);
            // Before looking: whoever changes it later wakes again.
            let _ = woken.try_recv();
            let later = look(directory);
            if later == now || noticed.elapsed() >= LONGEST {
                return Some(later);
            }
            now = later;
        }
    }
}

fn listen(directory: &Path, wake: Sender<()>) -> Option<notify::RecommendedWatcher> {
    let hear = move |event: notify::Result<notify::Event>| {
        // Reading the directory is reported too: listening to that would never end.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            let _ = wake.try_send(()); // full: it is awake already
        }
    };
    let watcher = notify::recommended_watcher(hear).and_then(|mut watcher| {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| debug!(%error, "no inotify, looking every two seconds instead"))
        .ok()
}

fn read(directory: &Path, copy: &Path) -> Update {
    match load(directory) {
        Ok(cluster) => {
            keep(directory, copy);
            Update::Policies(Arc::new(cluster))
        }
        Err(errors) => Update::PoliciesRejected(errors),
    }
}

fn load(directory: &Path) -> Result<policy::Cluster, Vec<String>> {
    policy::load_dir(directory).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// Copies the manifests: into a new directory first, which then takes the place of the old.
fn keep(directory: &Path, copy: &Path) {
    let (new, old) = (copy.with_extension("new"), copy.with_extension("old"));
    let replace = || -> io::Result<()> {
        let _ = fs::remove_dir_all(&new);
        fs::create_dir_all(&new)?;
        for entry in fs::read_dir(directory)?.flatten() {
            if fs::metadata(entry.path()).is_ok_and(|file| file.is_file()) {
                fs::copy(entry.path(), new.join(entry.file_name()))?;
            }
        }
        if copy.exists() {
            let _ = fs::remove_dir_all(&old);
            fs::rename(copy, &old)?;
        }
        fs::rename(&new, copy)?;
        let _ = fs::remove_dir_all(&old);
        Ok(())
    };
    if let Err(error) = replace() {
        warn!(%error, copy = %copy.display(), "the last good policies could not be kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";

    fn directories() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let (directory, copy) = (root.path().join("policy"), root.path().join("state/policy"));
        fs::create_dir(&directory).unwrap();
        (root, directory, copy)
    }

    fn next(inbox: &Receiver<Message>) -> Update {
        match inbox.recv_timeout(Duration::from_secs(8)) {
            Ok(Message::Update(update)) => update,
            _ => panic!("no update"),
        }
    }

    #[test]
    fn a_change_reaches_the_engine_and_a_mistake_comes_with_its_place() {
        let (_root, directory, copy) = directories();
        let (engine, inbox) = crossbeam_channel::unbounded();
        watch(directory.clone(), copy, look(&directory), engine).unwrap();
        thread::sleep(Duration::from_millis(100));
        fs::write(directory.join("a.yaml"), NAMESPACE).unwrap();
        match next(&inbox) {
            Update::Policies(cluster) => assert!(cluster.namespaces().contains_key("shop")),
            other => panic!("{other:?}"),
        }
        fs::write(directory.join("b.yaml"), "kind: [").unwrap();
        match next(&inbox) {
            Update::PoliciesRejected(errors) => {
                assert!(errors[0].contains("b.yaml:1:"), "{errors:?}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_directory_that_never_is_quiet_is_read_all_the_same() {
        let (root, directory, copy) = directories();
        let (engine, inbox) = crossbeam_channel::unbounded();
        watch(directory.clone(), copy, look(&directory), engine).unwrap();
        let start = Instant::now();
        let mut read = None;
        for number in 0.. {
            let unfinished = root.path().join("a.yaml");
            fs::write(&unfinished, format!("{NAMESPACE}# {number}\n")).unwrap();
            fs::rename(unfinished, directory.join("a.yaml")).unwrap();
            read = inbox.recv_timeout(DEBOUNCE / 10).ok();
            if read.is_some() || start.elapsed() > Duration::from_secs(8) {
                break;
            }
        }
        let Some(Message::Update(Update::Policies(cluster))) = read else {
            panic!("not read");
        };
        assert!(cluster.namespaces().contains_key("shop"));
    }

    #[test]
    fn no_directory_means_no_policies() {
        let (root, _, copy) = directories();
        let none = initial(&root.path().join("absent"), &copy).unwrap();
        assert_eq!(*none.cluster, policy::Cluster::new());
    }

    #[test]
    fn a_directory_that_vanished_does_not_open_the_cluster() {
        let (_root, directory, copy) = directories();
        fs::write(directory.join("a.yaml"), NAMESPACE).unwrap();
        initial(&directory, &copy).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        let kept = initial(&directory, &copy).unwrap();
        assert!(kept.cluster.namespaces().contains_key("shop"));
        assert!(kept.errors[0].contains("found none"), "{:?}", kept.errors);
        fs::write(copy.join("a.yaml"), "kind: [").unwrap();
        let error = initial(&directory, &copy).err().unwrap().to_string();
        assert!(
            error.contains("found none") && error.contains("a.yaml:1:"),
            "{error}"
        );
    }

    #[test]
    fn a_copy_that_was_being_replaced_when_the_daemon_died_is_still_found() {
        let (_root, directory, copy) = directories();
        fs::write(directory.join("a.yaml"), NAMESPACE).unwrap();
        initial(&directory, &copy).unwrap();
        fs::rename(&copy, copy.with_extension("old")).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        let kept = initial(&directory, &copy).unwrap();
        assert!(kept.cluster.namespaces().contains_key("shop"));
    }

    #[test]
    fn a_start_with_a_broken_directory_uses_the_last_good_copy_or_none_at_all() {
        let (_root, directory, copy) = directories();
        fs::write(directory.join("a.yaml"), NAMESPACE).unwrap();
        initial(&directory, &copy).unwrap();
        fs::write(directory.join("a.yaml"), "kind: [").unwrap();
        let again = initial(&directory, &copy).unwrap();
        assert!(again.cluster.namespaces().contains_key("shop"));
        assert_eq!(again.errors.len(), 1);
        fs::remove_dir_all(&copy).unwrap();
        let error = initial(&directory, &copy).err().unwrap();
        assert!(error.to_string().contains("a.yaml:1:"), "{error}");
    }
}
