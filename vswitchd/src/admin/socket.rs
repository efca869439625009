//! The socket's file and who may speak on it.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, unix::UCred};

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A daemon listens there already.
    #[error("another vswitchd listens on {}; stop it first or use another socket", path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has the name.
    #[error("{} exists and is no socket; remove it or use another socket", path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
    },
    /// The kernel refuses.
    #[error("socket {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

/// Opens the socket, readable and writable by its owner only. A file left behind by a daemon that
/// was killed is replaced; one that somebody answers on is not.
///
/// # Errors
/// See [`SocketError`].
pub fn open(path: &Path) -> Result<UnixListener, SocketError> {
    let io = |source| SocketError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(directory) = path.parent() {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .map_err(io)?;
    }
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(io)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io)?;
    Ok(listener)
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let path = path.to_owned();
    if !metadata.file_type().is_socket() {
        return Err(SocketError::Foreign { path });
    }
    match UnixStream::connect(&path) {
        Ok(_) => Err(SocketError::Taken { path }),
        Err(_) => fs::remove_file(&path).map_err(|source| SocketError::Io { path, source }),
    }
}

/// May this process speak? Root and the daemon's own user may.
pub(super) fn may_speak(peer: &UCred) -> bool {
    peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap()
    }

    #[test]
    fn a_socket_left_behind_is_replaced_and_a_living_one_is_not() {
        let _runtime = runtime();
        let _inside = _runtime.enter();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/vswitchd.sock");
        drop(open(&path).unwrap()); // the file stays, as after kill -9
        let living = open(&path).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, SocketError::Taken { .. }), "{error}");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        drop(living);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "text").unwrap();
        assert!(matches!(open(&path), Err(SocketError::Foreign { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }
}
