//! The handle: questions and changes in one namespace.

use crate::{NetNs, Result, connection::Connection};

/// A blocking rtnetlink handle. It belongs to the namespace it was opened in, whatever namespace
/// its thread goes to afterwards.
///
/// The calls are grouped by what they concern: links, addresses, routes, neighbours. A question
/// about something absent is `Ok(None)` or an empty list; a change to something absent is an
/// [`crate::Error`] for which [`crate::Error::is_not_found`] holds.
///
/// Not `Sync`: one exchange at a time.
#[derive(Debug)]
pub struct Handle {
    pub(crate) connection: Connection,
}

impl Handle {
    /// Opens a handle in the calling thread's namespace.
    ///
    /// # Errors
    /// The kernel has no route netlink, or the process has no descriptor left.
    pub fn open() -> Result<Self> {
        Ok(Self {
            connection: Connection::open()?,
        })
    }

    /// Opens a handle in `namespace`; the calling thread is back where it was afterwards.
    ///
    /// # Errors
    /// As [`Handle::open`] and [`NetNs::run`].
    pub fn open_in(namespace: &NetNs) -> Result<Self> {
        namespace.run(Self::open)?
    }
}
