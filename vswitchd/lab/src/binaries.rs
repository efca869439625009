//! Where the real programs are: next to the program that runs (or, for a test, one folder up), then in PATH.

use std::{
    env,
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result, io_error};

/// The programs a lab runs.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The daemon.
    pub vswitchd: PathBuf,
    /// The operator's CLI.
    pub vswitchctl: PathBuf,
    /// The CNI plugin.
    pub vswitch: PathBuf,
}

impl Binaries {
    /// Finds all three.
    ///
    /// # Errors
    /// [`Error::Requirement`] naming the missing one and where it was looked for.
    pub fn find() -> Result<Self> {
        Ok(Self {
            vswitchd: find("vswitchd")?,
            vswitchctl: find("vswitchctl")?,
            vswitch: find("vswitch")?,
        })
    }

    /// All three in one folder, for those who have more than one build.
    ///
    /// # Errors
    /// [`Error::Requirement`] naming the first that is missing.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        // A daemon starts in another folder than ours.
        let folder = folder
            .canonicalize()
            .map_err(io_error("cannot find", folder))?;
        let named = |name: &str| {
            let path = folder.join(name);
            is_program(&path).then_some(path).ok_or_else(|| {
                Error::Requirement(format!("no program `{name}` in {}", folder.display()))
            })
        };
        Ok(Self {
            vswitchd: named("vswitchd")?,
            vswitchctl: named("vswitchctl")?,
            vswitch: named("vswitch")?,
        })
    }
}

fn find(name: &str) -> Result<PathBuf> {
    let folders = own_folders();
    let near = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| is_program(path));
    near.or_else(|| in_path(name)).ok_or_else(|| {
        let looked: Vec<_> = folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        Error::Requirement(format!(
            "`{name}` is neither in {} nor in PATH; `cargo build --workspace` builds it",
            looked.join(", ")
        ))
    })
}

/// The folder of the running program; for a test or example of cargo's (`target/debug/deps/x`), also the one above.
fn own_folders() -> Vec<PathBuf> {
    let Some(own) = env::current_exe()
        .ok()
        .and_then(|exe| exe.parent().map(Path::to_path_buf))
    else {
        return Vec::new();
    };
    let is_cargos = own.ends_with("deps") || own.ends_with("examples");
    let above = own.parent().filter(|_| is_cargos).map(Path::to_path_buf);
    [own].into_iter().chain(above).collect()
}

/// PATH with the folders of system programs, which an ordinary user's lacks.
#[must_use]
pub fn system_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    env::join_paths(folders).unwrap_or(path)
}

/// The first program of this name in [`system_path`].
#[must_use]
pub fn in_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&system_path())
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_programs_are_found() {
        assert!(in_path("sh").is_some());
        assert!(in_path("no-such-program-anywhere").is_none());
    }

    #[test]
    fn a_folder_has_all_three_or_the_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["vswitchd", "vswitchctl"] {
            std::os::unix::fs::symlink("/bin/sh", folder.path().join(name)).unwrap();
        }
        let message = Binaries::in_folder(folder.path()).unwrap_err().to_string();
        assert!(
            message.starts_with("no program `vswitch` in /"),
            "{message}"
        );
        std::os::unix::fs::symlink("/bin/sh", folder.path().join("vswitch")).unwrap();
        let found = Binaries::in_folder(folder.path()).unwrap();
        assert!(found.vswitch.is_absolute() && found.vswitch.ends_with("vswitch"));
    }

    #[test]
    fn a_missing_program_is_named_with_the_way_to_build_it() {
        let message = find("no-such-program-anywhere").unwrap_err().to_string();
        assert!(
            message.contains("`cargo build --workspace` builds it"),
            "{message}"
        );
    }
}
