//! What can go wrong: the kernel refuses, or answers something unreadable.

use std::io;

use nix::libc;

/// The result of every call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A refused or misunderstood operation. The text reads `<operation> <object>: <reason>`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error("{operation} {object}: {source}{}", hint.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Kernel {
        /// What was being done, such as `add route`.
        operation: &'static str,
        /// What it was being done to, such as `10.244.0.0/16 dev tunl0`.
        object: String,
        /// The errno.
        source: io::Error,
        /// The kernel's own sentence (extended acknowledgement), if it gave one.
        hint: Option<String>,
    },
    /// The kernel answered with bytes that are not the expected message.
    #[error("{operation} {object}: expected {expected}, the kernel answered {found}")]
    Answer {
        /// What was being done.
        operation: &'static str,
        /// What it was being done to.
        object: String,
        /// The message that was waited for.
        expected: &'static str,
        /// What came instead.
        found: String,
    },
}

impl Error {
    pub(crate) fn kernel(
        operation: &'static str,
        object: impl Into<String>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Kernel {
            operation,
            object: object.into(),
            source: source.into(),
            hint: None,
        }
    }

    pub(crate) fn answer(
        operation: &'static str,
        object: impl Into<String>,
        expected: &'static str,
        found: impl Into<String>,
    ) -> Self {
        Self::Answer {
            operation,
            object: object.into(),
            expected,
            found: found.into(),
        }
    }

    /// The kernel's errno, if this is a refusal.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel { source, .. } => source.raw_os_error(),
            Self::Answer { .. } => None,
        }
    }

    /// The object does not exist: ENODEV, ENOENT, ESRCH, ENXIO or EADDRNOTAVAIL.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(
            self.errno(),
            Some(libc::ENODEV | libc::ENOENT | libc::ESRCH | libc::ENXIO | libc::EADDRNOTAVAIL)
        )
    }

    /// The object exists already: EEXIST.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }
}
