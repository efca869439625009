//! What can go wrong with a measurement.

use std::{io, time::Duration};

use thiserror::Error;

/// A world could not be built, or a measurement not be made.
#[derive(Debug, Error)]
pub enum Error {
    /// The lab says so.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// This machine lacks what the contender needs; the sentence says how to get it.
    #[error("{0}")]
    Absent(String),
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, on what.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program was not done in time, and was ended.
    #[error("`{command}` was not done after {within:?}, and was ended")]
    Late {
        /// The program and its arguments.
        command: String,
        /// How long was waited.
        within: Duration,
    },
    /// A program failed.
    #[error("`{command}` ended with {status}: {said}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it said.
        said: String,
    },
    /// A program, or a file, says something else than it should.
    #[error("{place}: expected {expected}, found `{found}`")]
    Unexpected {
        /// Who said it.
        place: String,
        /// What would be right.
        expected: String,
        /// What was there.
        found: String,
    },
    /// The user, or the system, asked the bench to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The result of every operation here.
pub type Result<T> = std::result::Result<T, Error>;

/// Shapes an [`io::Error`] into [`Error::Io`].
pub fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}
