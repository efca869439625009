//! A network namespace, held open by a file.

use std::{
    fs::File,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

use crate::{Error, Result};

/// The calling thread's own namespace, as a path.
const OWN: &str = "/proc/thread-self/ns/net";

/// An open network namespace. It lives at least as long as this value.
///
/// Two values are equal when they are the same namespace, whatever path they were opened by.
#[derive(Debug)]
pub struct NetNs {
    file: File,
    path: PathBuf,
    identity: (u64, u64),
}

impl NetNs {
    /// Opens a namespace by a path such as `/run/netns/NAME` or `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// The path cannot be opened, or is no namespace file (EINVAL).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let failed =
            |source| Error::kernel("open network namespace", path.display().to_string(), source);
        let file = File::open(&path).map_err(failed)?;
        let kind = nix::sys::statfs::fstatfs(&file).map_err(|errno| failed(errno.into()))?;
        if kind.filesystem_type() != nix::sys::statfs::NSFS_MAGIC {
            return Err(failed(nix::errno::Errno::EINVAL.into()));
        }
        let metadata = file.metadata().map_err(failed)?;
        Ok(Self {
            file,
            identity: (metadata.dev(), metadata.ino()),
            path,
        })
    }

    /// The namespace the calling thread is in now.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn current() -> Result<Self> {
        Self::open(OWN)
    }

    /// A new, empty namespace without a name. It is gone when its last holder is.
    ///
    /// Other processes reach it by [`NetNs::fd_path`] while this value lives.
    ///
    /// # Errors
    /// EPERM without `CAP_SYS_ADMIN` in the calling user namespace.
    pub fn create() -> Result<Self> {
        // A thread of its own enters the new namespace, so that the caller never has to come back.
        thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|errno| Error::kernel("create", "a network namespace", errno))?;
            Self::current()
        })
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs `work` on the calling thread inside this namespace and comes back.
    ///
    /// Sockets opened and `/proc/sys/net` files touched by `work` belong to this namespace. Threads
    /// spawned by `work` stay in it.
    ///
    /// # Errors
    /// EPERM or EINVAL from setns(2) on the way in; `work` is not run then.
    ///
    /// # Panics
    /// If the kernel refuses the way back: a thread in the wrong namespace must not go on.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let home = Self::current()?;
        if home == *self {
            return Ok(work());
        }
        self.enter()?;
        let _way_back = WayBack(home);
        Ok(work())
    }

    fn enter(&self) -> Result<()> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|errno| {
            Error::kernel(
                "enter network namespace",
                self.path.display().to_string(),
                errno,
            )
        })
    }

    /// The inode number the kernel names the namespace by (`net:[4026531840]`).
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.identity.1
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path by which any process that may see this one can open the namespace:
    /// `/proc/PID/fd/N`. Valid while this value lives.
    #[must_use]
    pub fn fd_path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.file.as_raw_fd()
        ))
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl PartialEq for NetNs {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for NetNs {}

/// Brings the thread home, also when the work panics.
struct WayBack(NetNs);

impl Drop for WayBack {
    fn drop(&mut self) {
        if let Err(error) = self.0.enter() {
            panic!("cannot return to the thread's own namespace: {error}");
        }
    }
}
