//! The host ends of pods, for the engine.

use std::{io, path::Path};

use netlink::Handle;

use crate::control::HostLinks;

/// The kernel of the namespace the daemon runs in.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelLinks;

impl HostLinks for KernelLinks {
    fn index_of(&self, name: &str) -> io::Result<Option<u32>> {
        let link = Handle::open().and_then(|handle| handle.link(name));
        Ok(link.map_err(io::Error::other)?.map(|link| link.index))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let handle = Handle::open().map_err(io::Error::other)?;
        let Some(link) = handle.link(name).map_err(io::Error::other)? else {
            return Ok(());
        };
        match handle.delete_link(link.index) {
            Err(error) if !error.is_not_found() => Err(io::Error::other(error)),
            _ => Ok(()),
        }
    }

    fn netns_exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }
}
