//! The folder of the flight recorder's files: what pods say to each other is for the daemon's own user alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Read, written and entered by its owner.
const FOLDER_MODE: u32 = 0o700;
/// Read and written by its owner.
const FILE_MODE: u32 = 0o600;

/// Where a drop's file goes.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it where it is missing. One that is there keeps its mode: it may be anybody's.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn make(path: PathBuf) -> anyhow::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(FOLDER_MODE);
        let made = builder.create(&path);
        made.with_context(|| format!("making the recorder's directory {}", path.display()))?;
        Ok(Self { path })
    }

    /// Writes a new file, and says where it is. One that is not written to its end does not stay.
    ///
    /// # Errors
    /// There is something of that name, be it a link to nowhere; or `write` fails.
    pub(super) fn file(
        &self,
        name: &str,
        write: impl FnOnce(File) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(FILE_MODE);
        let file = file.open(&path);
        let file = file.with_context(|| format!("making {}", path.display()))?;
        if let Err(error) = write(file) {
            remove(&path)?;
            return Err(error.context(format!("writing {}", path.display())));
        }
        Ok(path)
    }

    /// Removes the oldest of our files until `most` are left; their names begin with their time.
    ///
    /// # Errors
    /// The folder cannot be read, or a file not be removed.
    pub(super) fn keep_newest(&self, most: usize) -> anyhow::Result<()> {
        let mut ours = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            if name.starts_with("drop-") && name.ends_with(".pcapng") {
                ours.push(name);
            }
        }
        ours.sort();
        let surplus = ours.len().saturating_sub(most);
        ours[..surplus]
            .iter()
            .try_for_each(|name| remove(&self.path.join(name)))
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| format!("removing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn folder(root: &tempfile::TempDir) -> Folder {
        Folder::make(root.path().join("recorder")).unwrap()
    }

    fn hello(mut file: File) -> anyhow::Result<()> {
        Ok(file.write_all(b"hello")?)
    }

    #[test]
    fn folder_and_file_are_for_their_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(&root);
        let file = folder.file("drop-1.pcapng", hello).unwrap();
        assert_eq!((mode(&folder.path), mode(&file)), (0o700, 0o600));
        // One that is there is left as it is.
        let there = root.path().join("there");
        fs::create_dir(&there).unwrap();
        fs::set_permissions(&there, Permissions::from_mode(0o750)).unwrap();
        let file = Folder::make(there.clone())
            .and_then(|folder| folder.file("drop-1.pcapng", hello))
            .unwrap();
        assert_eq!((mode(&there), mode(&file)), (0o750, 0o600));
    }

    #[test]
    fn what_is_there_is_not_written_over_nor_through() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(&root);
        let target = root.path().join("target");
        for is_there in [false, true] {
            if is_there {
                fs::write(&target, "precious").unwrap();
            }
            let name = format!("drop-{is_there}.pcapng");
            symlink(&target, folder.path.join(&name)).unwrap();
            let error = folder.file(&name, hello).unwrap_err();
            assert!(format!("{error:#}").contains("File exists"), "{error:#}");
            assert_eq!(target.exists(), is_there);
            assert!(folder.path.join(&name).is_symlink());
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn half_a_file_does_not_stay() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(&root);
        let full = |file| hello(file).and_then(|()| anyhow::bail!("no space"));
        let error = folder.file("drop-1.pcapng", full).unwrap_err();
        assert!(format!("{error:#}").ends_with("no space"), "{error:#}");
        assert_eq!(fs::read_dir(&folder.path).unwrap().count(), 0);
    }

    #[test]
    fn the_newest_stay_and_what_is_not_ours() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(&root);
        for second in 1..=5 {
            let name = format!("drop-{second}-policy_ingress.pcapng");
            folder.file(&name, hello).unwrap();
        }
        fs::write(folder.path.join("notes"), "").unwrap();
        folder.keep_newest(2).unwrap();
        let names = fs::read_dir(&folder.path).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "drop-4-policy_ingress.pcapng",
                "drop-5-policy_ingress.pcapng",
                "notes"
            ]
        );
    }
}
