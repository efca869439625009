//! The address book on disk: nothing is answered before it is durable.
//!
//! Every change is made on a copy, written as a whole (see [`crate::state::durable`]) and only then
//! taken over. A kill at any moment leaves either the old or the new book; since the answer goes out
//! after the write, an address that somebody was told is always in the book. An address that nobody
//! was told because the daemon died in between is held by its handle: the retry gets the same one,
//! and [`AddressBook::release_abandoned`] or a CNI DEL or GC frees it.

use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::{Ipam, IpamError, Owner, tunnel_handle};
use crate::state::durable;

/// Version of the file's shape.
const VERSION: u32 = 1;

/// Why the book could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The file could not be read or written.
    #[error("address book {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file is there and is not a book.
    #[error(
        "address book {} is damaged: {reason}; addresses in use would be handed out twice without \
         it, so the daemon does not start: restore the file, or delete it once no pod runs here",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file belongs to another node.
    #[error("address book {} belongs to node {found:?}, this is {expected:?}", path.display())]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// The node it was written by.
        found: String,
        /// This node.
        expected: String,
    },
    /// The book's own rules.
    #[error(transparent)]
    Ipam(#[from] IpamError),
}

/// The file's shape.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    version: u32,
    node: String,
    ipam: Ipam,
}

/// The durable book of one node's addresses.
#[derive(Debug)]
pub struct AddressBook {
    path: PathBuf,
    node: String,
    ipam: Ipam,
    tunnel: Ipv4Addr,
}

impl AddressBook {
    /// Opens the book, or begins one, and makes sure that the tunnel has its address: the first of
    /// the first block when the book is new, as in Calico.
    ///
    /// # Errors
    /// See [`BookError`].
    pub fn open(path: &Path, node: &str, blocks: &[Ipv4Net]) -> Result<Self, BookError> {
        let mut ipam = match read(path, node)? {
            Some(ipam) => ipam,
            None => Ipam::new(blocks),
        };
        ipam.reconcile(node, blocks)?;
        let tunnel = ipam.allocate(&tunnel_handle(node), Owner::default(), None)?;
        let book = Self {
            path: path.to_owned(),
            node: node.to_owned(),
            ipam,
            tunnel,
        };
        book.write(&book.ipam)?;
        Ok(book)
    }

    /// The book itself.
    #[must_use]
    pub fn ipam(&self) -> &Ipam {
        &self.ipam
    }

    /// The address of `tunl0`.
    #[must_use]
    pub fn tunnel_address(&self) -> Ipv4Addr {
        self.tunnel
    }

    /// Gives an address, see [`Ipam::allocate`]; durable when this returns.
    ///
    /// # Errors
    /// No address, or the book could not be written (then nothing has changed).
    pub fn allocate(
        &mut self,
        handle: &str,
        owner: Owner,
        requested: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, BookError> {
        let mut next = self.ipam.clone();
        let address = next.allocate(handle, owner, requested)?;
        self.turn_to(next)?;
        Ok(address)
    }

    /// Releases what a handle holds; durable when this returns.
    ///
    /// # Errors
    /// The book could not be written (then nothing has changed).
    pub fn release(&mut self, handle: &str) -> Result<Vec<Ipv4Addr>, BookError> {
        let mut next = self.ipam.clone();
        let released = next.release(handle);
        self.turn_to(next)?;
        Ok(released)
    }

    /// Releases every address whose handle `abandoned` says so of; the tunnel's is never asked about.
    ///
    /// # Errors
    /// The book could not be written (then nothing has changed).
    pub fn release_abandoned(
        &mut self,
        abandoned: impl Fn(&str, &Owner) -> bool,
    ) -> Result<Vec<Ipv4Addr>, BookError> {
        let tunnel = tunnel_handle(&self.node);
        let held = self.ipam.blocks().iter().flat_map(|b| b.allocations());
        let gone: Vec<String> = held
            .filter(|(_, held)| held.handle != tunnel && abandoned(&held.handle, &held.owner))
            .map(|(_, held)| held.handle.clone())
            .collect();
        let mut next = self.ipam.clone();
        let released = gone
            .iter()
            .flat_map(|handle| next.release(handle))
            .collect();
        self.turn_to(next)?;
        Ok(released)
    }

    fn turn_to(&mut self, next: Ipam) -> Result<(), BookError> {
        if next != self.ipam {
            self.write(&next)?;
            self.ipam = next;
        }
        Ok(())
    }

    fn write(&self, ipam: &Ipam) -> Result<(), BookError> {
        let page = Page {
            version: VERSION,
            node: self.node.clone(),
            ipam: ipam.clone(),
        };
        durable::write_json(&self.path, &page).map_err(|source| BookError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

fn read(path: &Path, node: &str) -> Result<Option<Ipam>, BookError> {
    let path = path.to_owned();
    let bytes = match durable::read(&path) {
        Ok(None) => return Ok(None),
        Ok(Some(bytes)) => bytes,
        Err(source) => return Err(BookError::Io { path, source }),
    };
    let damaged = |path, reason| Err(BookError::Damaged { path, reason });
    let page: Page = match serde_json::from_slice(&bytes) {
        Ok(page) => page,
        Err(error) => return damaged(path, error.to_string()),
    };
    if page.version != VERSION {
        let reason = format!("expected version {VERSION}, found {}", page.version);
        return damaged(path, reason);
    }
    if page.node != node {
        return Err(BookError::OtherNode {
            path,
            found: page.node,
            expected: node.to_owned(),
        });
    }
    if !page.ipam.is_consistent() {
        let reason = "an address is both free and in use, or missing".to_owned();
        return damaged(path, reason);
    }
    Ok(Some(page.ipam))
}
