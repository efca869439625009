//! What can go wrong with a lab. Every variant names the step, what was found and, where there is one, the remedy.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

/// A lab could not be built, entered or changed.
#[derive(Debug, Error)]
pub enum Error {
    /// The TOML does not parse or has an unknown key; the message of the parser shows line and column.
    #[error("{file}: {source}")]
    Syntax {
        /// The file, or `<text>`.
        file: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The TOML parses, but says something that cannot be built.
    #[error("{file}: {key}: expected {expected}, found {found}")]
    Value {
        /// The file, or `<text>`.
        file: String,
        /// The key, as a path: `pod[1].node`.
        key: String,
        /// What would be right.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The machine lacks something the lab needs; the sentence says what to do.
    #[error("{0}")]
    Requirement(String),
    /// A lab of this name is up.
    #[error(
        "lab `{name}` is already up (keeper process {keeper}); `vswitchctl lab down --lab {name}` takes it down"
    )]
    AlreadyUp {
        /// The lab.
        name: String,
        /// Process id of its keeper.
        keeper: i32,
    },
    /// Someone else is bringing up or taking down this very lab.
    #[error("lab `{0}` is being brought up or taken down by another process; wait for it")]
    Busy(String),
    /// No lab is up, or none of this name.
    #[error("{0}; `vswitchctl lab up -f FILE` brings one up")]
    NotUp(String),
    /// Several labs are up, and none was named.
    #[error("several labs are up ({0}); choose one with --lab NAME")]
    Several(String),
    /// A name that is no pod, node or outside host of the lab.
    #[error("no {kind} `{name}` in the lab; there are: {known}")]
    Unknown {
        /// What was looked for: `pod`, `node`, `pod, node or outside host`.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A thing of this name is there already.
    #[error("{kind} `{name}` exists already")]
    Exists {
        /// What it is: `pod`, `manifest`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A command that builds the lab failed.
    #[error("{what}: `{command}` ended with {status}: {stderr}")]
    Command {
        /// What it was to do.
        what: String,
        /// The command, without the way into the sandbox.
        command: String,
        /// Its exit status.
        status: String,
        /// What it wrote to standard error, or to standard output if that was empty.
        stderr: String,
    },
    /// A file or process operation failed.
    #[error("{what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, such as `cannot write`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A daemon did not become ready.
    #[error(
        "vswitchd of node `{node}` is not ready after {waited:?}: {last}; the end of its log:\n{log}"
    )]
    NotReady {
        /// The node.
        node: String,
        /// How long was waited.
        waited: Duration,
        /// The last answer, or the lack of one.
        last: String,
        /// The last lines of its log.
        log: String,
    },
    /// A CNI plugin answered with an error.
    #[error("CNI {verb} of pod `{pod}` failed in plugin `{plugin}`: {message}")]
    Plugin {
        /// `ADD`, `DEL`, ...
        verb: &'static str,
        /// The pod.
        pod: String,
        /// The plugin of the chain.
        plugin: String,
        /// Its error: code, message and details.
        message: String,
    },
}

/// The result of every operation here.
pub type Result<T> = std::result::Result<T, Error>;

/// Shapes an [`io::Error`] into [`Error::Io`]: `fs::read(&path).map_err(io_error("cannot read", &path))`.
pub fn io_error(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::Io { what, path, source }
}
