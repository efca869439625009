//! Where a program runs: a namespace of a sandbox the bench made, or a network namespace of the user's.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use lab::{binaries::system_path, sandbox::Sandbox};

use super::error::{Error, Result};

/// A network namespace and the way into it.
#[derive(Clone, Debug)]
pub enum Place {
    /// One of a sandbox.
    Inside {
        /// The sandbox.
        sandbox: Sandbox,
        /// The namespace's name in it.
        netns: String,
    },
    /// One on this machine.
    Netns(PathBuf),
}

impl Place {
    /// A namespace of a sandbox.
    #[must_use]
    pub fn inside(sandbox: &Sandbox, netns: &str) -> Self {
        Self::Inside {
            sandbox: sandbox.clone(),
            netns: netns.into(),
        }
    }

    /// The user's namespace: a name under `/run/netns`, a path, or the id of a process that lives in it.
    ///
    /// # Errors
    /// There is none.
    pub fn of_user(word: &str) -> Result<Self> {
        let path = if word.contains('/') {
            PathBuf::from(word)
        } else if word.bytes().all(|byte| byte.is_ascii_digit()) {
            PathBuf::from(format!("/proc/{word}/ns/net"))
        } else {
            Path::new("/run/netns").join(word)
        };
        if path.exists() {
            return Ok(Self::Netns(path));
        }
        Err(Error::Unexpected {
            place: "network namespace".into(),
            expected: "a name that `ip netns` lists, a path, or a process id".into(),
            found: word.into(),
        })
    }

    /// A command that runs here; it dies with the process that is started for it.
    #[must_use]
    pub fn command(&self, argv: &[&str]) -> Command {
        match self {
            Self::Inside { sandbox, netns } => sandbox.command(Some(netns), argv),
            Self::Netns(path) => {
                let mut command = Command::new("nsenter");
                command
                    .arg(format!("--net={}", path.display()))
                    .args(["--", "setpriv", "--pdeathsig", "KILL", "--"])
                    .args(argv)
                    .env("PATH", system_path());
                command
            }
        }
    }
}
