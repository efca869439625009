//! What later commands find a lab by: one folder per lab, outside the sandbox, with its keeper and its config.
//!
//! Root's labs are under `/run/vswitch-lab`, a user's under `$XDG_RUNTIME_DIR/vswitch-lab`, else `/tmp/vswitch-lab-UID`.
//! Everything else a lab has lives inside its sandbox and dies with it.

use std::{
    env, fs,
    fs::{DirBuilder, File, TryLockError},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::{
    config::Config,
    error::{Error, Result, io_error},
    sandbox::Sandbox,
};

/// The folder of one lab.
#[derive(Clone, Debug)]
pub struct StateDir {
    name: String,
    folder: PathBuf,
}

/// Held while a lab is brought up or taken down.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl StateDir {
    /// The folder for the lab of this name; it need not exist.
    ///
    /// # Errors
    /// The folder above it belongs to someone else.
    pub fn of(name: &str) -> Result<Self> {
        Ok(Self {
            name: name.into(),
            folder: base()?.join(name),
        })
    }

    /// Every lab there is a folder for.
    ///
    /// # Errors
    /// The folder above cannot be read.
    pub fn all() -> Result<Vec<Self>> {
        let base = base()?;
        let entries = match fs::read_dir(&base) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("cannot read", base)(error)),
        };
        let mut labs: Vec<Self> = entries
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| Self {
                name: entry.file_name().to_string_lossy().into_owned(),
                folder: entry.path(),
            })
            .collect();
        labs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(labs)
    }

    /// The lab's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the folder if needed and takes its lock.
    ///
    /// # Errors
    /// [`Error::Busy`]: another process holds it.
    pub fn lock(&self) -> Result<Lock> {
        make_private(&self.folder)?;
        let path = self.lock_file();
        let file = File::create(&path).map_err(io_error("cannot create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy(self.name.clone())),
            Err(TryLockError::Error(error)) => Err(io_error("cannot lock", path)(error)),
        }
    }

    fn lock_file(&self) -> PathBuf {
        self.folder.with_file_name(format!("{}.lock", self.name))
    }

    /// Notes the sandbox and the config.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, sandbox: &Sandbox, config: &Config) -> Result<()> {
        let keeper = serde_json::to_string(sandbox).unwrap_or_default();
        let config = toml::to_string(config).unwrap_or_default();
        // The keeper last: a folder without it is a lab that never was.
        for (name, content) in [("lab.toml", config), ("keeper.json", keeper)] {
            let path = self.folder.join(name);
            fs::write(&path, content).map_err(io_error("cannot write", path))?;
        }
        Ok(())
    }

    /// The sandbox that was noted, alive or not; none if there is no note.
    #[must_use]
    pub fn sandbox(&self) -> Option<Sandbox> {
        let text = fs::read_to_string(self.folder.join("keeper.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The config that was noted.
    ///
    /// # Errors
    /// It is missing or not readable.
    pub fn config(&self) -> Result<Config> {
        Config::load(&self.folder.join("lab.toml"))
    }

    /// Removes the folder and, when it was the last, the one above it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, lock: Lock) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_error("cannot remove", &self.folder)(error));
            }
            _ => {}
        }
        let _ = fs::remove_file(self.lock_file());
        drop(lock);
        if let Some(base) = self.folder.parent() {
            let _ = fs::remove_dir(base);
        }
        Ok(())
    }
}

fn base() -> Result<PathBuf> {
    let uid = geteuid();
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty());
    let base = match runtime_dir {
        _ if uid.is_root() => PathBuf::from("/run/vswitch-lab"),
        Some(folder) if Path::new(&folder).is_dir() => PathBuf::from(folder).join("vswitch-lab"),
        _ => PathBuf::from(format!("/tmp/vswitch-lab-{uid}")),
    };
    match fs::symlink_metadata(&base) {
        Ok(data) if !data.is_dir() || data.uid() != uid.as_raw() => {
            Err(Error::Requirement(format!(
                "{} exists and is not a folder of this user; remove it",
                base.display()
            )))
        }
        _ => Ok(base),
    }
}

fn make_private(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(io_error("cannot create", folder))
}
